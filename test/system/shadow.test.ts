/**
 * The backup holds what the guest is: the RAM of a real guest under load, byte for byte, at a hundred checkpoints that went
 * the whole way: QEMU, staging, packing, TCP, unpacking, journal, shadow.
 */
import fs from 'node:fs';
import test from 'ava';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import type { PackLevel } from '../../coordinator/packing/choice.ts';
import { Replica } from './replica.ts';

const CHECKPOINTS = 100;
/** Most checkpoints are packed; the others are between them, so that each kind follows each. */
const LEVELS: readonly PackLevel[] = ['pack', 'pack', 'pack', 'filter', 'pack', 'plain'];
/** Where a PC shows its firmware, and how much of it. */
const BIOS = { address: 0xfffc_0000, bytes: 256 << 10 };

/** Reads a whole file into a buffer of its size. */
function readInto(file: string, into: Buffer): Buffer {
  const fd = fs.openSync(file, 'r');
  try {
    if (fs.fstatSync(fd).size !== into.length) throw new Error(`${file} has another size`);
    for (let at = 0; at < into.length; ) at += fs.readSync(fd, into, at, into.length - at, at);
    return into;
  } finally {
    fs.closeSync(fd);
  }
}

/** The numbers of the first pages that differ. */
function differences(one: Buffer, other: Buffer): number[] {
  const pages: number[] = [];
  for (let at = 0; at < one.length && pages.length < 10; at += PAGE_BYTES) {
    const page = one.subarray(at, at + PAGE_BYTES);
    if (!page.equals(other.subarray(at, at + PAGE_BYTES))) pages.push(at / PAGE_BYTES);
  }
  return pages;
}

test('the shadow is the RAM of a real guest, at a hundred checkpoints under load (needs qemu)', async t => {
  t.timeout(180_000);
  let made: Replica | undefined;
  let begun = 0;
  t.teardown(() => made?.remove());
  const replica = await Replica.start(
    it => {
      made = it;
    },
    ['dirty=2000:16'],
    { next: () => LEVELS[begun++ % LEVELS.length]!, committed: () => {}, part: () => {} },
  );
  const real = Buffer.alloc(replica.ramBytes);
  const shadow = Buffer.alloc(replica.ramBytes);
  const { counters } = replica.staging;
  const mainPath = await replica.store.prepare('pc.ram', replica.ramBytes);
  const epochs: number[] = [];
  let fullPages = 0;
  for (let n = 0; n <= CHECKPOINTS; n++) {
    const epoch = n === 0 ? await replica.fullCopy() : await replica.checkpoint();
    readInto(replica.ramPath, real);
    await replica.commit();
    t.is(replica.store.applied, epoch);
    if (!readInto(mainPath, shadow).equals(real))
      return t.fail(`checkpoint ${epoch} differs in pages ${differences(real, shadow)}`);
    epochs.push(epoch);
    if (n === 0) fullPages = counters.dataPages;
  }
  t.deepEqual(
    epochs,
    Array.from({ length: CHECKPOINTS + 1 }, (_, n) => n + 1),
  );
  const pages = (counters.dataPages - fullPages) / CHECKPOINTS;
  t.log(`${pages} pages per checkpoint`, counters);
  t.true(pages > 20, 'the guest dirties memory');
  t.log('packed', replica.outlet.pages);
  for (const kind of ['data', 'same', 'delta'] as const)
    t.true(replica.outlet.pages![kind] > 0, `pages of kind ${kind}`);
  t.true(counters.waits > 0, 'the full copy is larger than the pool');

  const bios = await replica.physical(BIOS.address, BIOS.bytes);
  const { layout, otherBlocks, device } = replica.store.finalize();
  const names = layout.blocks.map(block => block.name);
  t.true(otherBlocks.get(names.indexOf('pc.bios'))!.equals(bios));
  t.true(bios.some(byte => byte !== 0));
  t.is(otherBlocks.size, names.length - 1);
  t.true(device.length > 10_000);
});
