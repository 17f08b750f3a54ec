/** A store that is fed packed checkpoints: it holds what one holds that is fed plain ones, also after a crash. */
import fs from 'node:fs';
import test from 'ava';
import { Store } from '../../coordinator/checkpoint/store.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { PackedGuest } from '../packing/packed-guest.ts';
import { difference, directoryOf, feed, optionsOf, stateOf } from './feed.ts';
import { LAYOUT, Random } from './model.ts';

const LEVELS = ['plain', 'filter', 'pack', 'pack'] as const;

test('packed checkpoints leave what the guest has; a restart takes the newest from whole pages', async t => {
  for (let seed = 1; seed <= 8; seed++) {
    const directory = directoryOf(t);
    let store = Store.create(optionsOf(directory));
    const guest = new PackedGuest(seed * 7919, 12 * 4096);
    const random = new Random(seed);
    const chunks = () =>
      Array.from({ length: random.below(4) }, () => guest.draw(1 + random.below(20)));
    await feed(store, guest.checkpoint(1, [guest.draw(60), guest.draw(9)], 'pack', true));
    t.is(difference(stateAt(store), guest.state), undefined);
    for (let epoch = 2; epoch <= 25; epoch++) {
      await feed(store, guest.checkpoint(epoch, chunks(), LEVELS[random.below(4)]!));
      // Not applied: a crash here leaves the work to the restart.
      if (random.below(3) === 0) {
        await store.close();
        const recovered = Store.recover(optionsOf(directory));
        if ('nothing' in recovered) return t.fail(`epoch ${epoch}: ${recovered.nothing}`);
        store = recovered.store;
      }
      if (random.below(3) === 0) store.apply();
    }
    t.is(store.committed, 25);
    t.is(difference(stateOf(store), guest.state), undefined, `seed ${seed}`);
    await store.discard();
  }
});

function stateAt(store: Store) {
  const { otherBlocks, mainPath, device } = store.view();
  const main = fs.readFileSync(mainPath);
  const blocks = LAYOUT.blocks.map((_, index) =>
    index === LAYOUT.mainBlock ? main : otherBlocks.get(index)!,
  );
  return { blocks, device };
}

/** Changes one byte of a file. */
function damage(file: string, at: number): void {
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0]! ^= 0x10;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}

test('a packed checkpoint is expanded against the one before it, which is applied first', async t => {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory));
  t.teardown(() => store.close());
  const guest = new PackedGuest(4);
  const page = (change: 'new' | 'few') => [[{ block: 1, page: 3, change }]];
  await feed(store, guest.checkpoint(1, page('new'), 'pack', true));
  await feed(store, guest.checkpoint(2, page('new'), 'pack'));
  t.is(store.applied, 1);
  const frames = guest.checkpoint(3, page('few'), 'pack');
  await feed(store, frames);
  t.is(difference(stateOf(store), guest.state), undefined);
});

test('a shadow that is not what the primary thinks is found out, and the checkpoint does not count', async t => {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory));
  t.teardown(() => store.close());
  const guest = new PackedGuest(5);
  const page = (change: 'new' | 'nothing') => [[{ block: 1, page: 3, change }]];
  await feed(store, guest.checkpoint(1, page('new'), 'pack', true));
  damage(store.view().mainPath, 3 * 4096 + 17);
  const frames = guest.checkpoint(2, page('nothing'), 'pack');
  t.true(frames.some(frame => frame.type === MESSAGE.packed));
  await t.throwsAsync(feed(store, frames), { code: 'CURLING_REPLICATION_UNPACK' });
  store.abort();
  t.is(store.committed, 1);
});
