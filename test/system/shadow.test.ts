/**
 * The backup holds what the guest is: the RAM of a real guest under load, byte for byte, at a hundred checkpoints that went
 * the whole way: QEMU, staging, packing, TCP, unpacking, journal, shadow.
 */
import test from 'ava';
import type { PackLevel } from '../../coordinator/packing/choice.ts';
import { differentPages } from './guest-memory.ts';
import { Replica } from './replica.ts';

const CHECKPOINTS = 100;
/** Most checkpoints are packed; the others are between them, so that each kind follows each. */
const LEVELS: readonly PackLevel[] = ['pack', 'pack', 'pack', 'filter', 'pack', 'plain'];
/** Where a PC shows its firmware, and how much of it. */
const BIOS = { address: 0xfffc_0000, bytes: 256 << 10 };

test('the shadow is the RAM of a real guest, at a hundred checkpoints under load (needs qemu)', async t => {
  t.timeout(180_000);
  let made: Replica | undefined;
  let begun = 0;
  t.teardown(() => made?.remove());
  const replica = await Replica.start(
    it => {
      made = it;
    },
    {
      workload: ['dirty=2000:16'],
      choice: {
        next: () => LEVELS[begun++ % LEVELS.length]!,
        committed: () => {},
        part: () => {},
      },
    },
  );
  const real = Buffer.alloc(replica.ramBytes);
  const shadow = Buffer.alloc(replica.ramBytes);
  const { counters } = replica.staging;
  const epochs: number[] = [];
  let fullPages = 0;
  for (let n = 0; n <= CHECKPOINTS; n++) {
    const epoch = n === 0 ? await replica.fullCopy() : await replica.checkpoint();
    replica.readRam(real);
    await replica.commit();
    t.is(replica.store.applied, epoch);
    if (!replica.readShadow(shadow).equals(real))
      return t.fail(`checkpoint ${epoch} differs in pages ${differentPages(real, shadow)}`);
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
