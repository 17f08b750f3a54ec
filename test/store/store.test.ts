import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { Store } from '../../coordinator/checkpoint/store.ts';
import { encodeFrame } from '../../coordinator/replication/encode.ts';
import { Rope } from '../../coordinator/replication/rope.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { difference, directoryOf, feed, optionsOf, stateOf } from './feed.ts';
import { IDENTITY, LAYOUT, ModelGuest, Random } from './model.ts';

const MAIN = LAYOUT.blocks[LAYOUT.mainBlock]!;

test('random checkpoints leave what a naive guest has, with aborts between them', async t => {
  for (let seed = 1; seed <= 12; seed++) {
    const directory = directoryOf(t);
    const store = Store.create(optionsOf(directory));
    const guest = new ModelGuest(seed * 7919);
    const random = new Random(seed);
    await feed(store, guest.checkpoint(5, true));
    let epoch = 5;
    for (let step = 0; step < 25; step++) {
      const frames = guest.checkpoint(epoch + 1);
      if (random.below(4) === 0) {
        await feed(store, frames.slice(0, 1 + random.below(frames.length - 1)));
        store.abort();
        t.is(store.committed, epoch);
      }
      await feed(store, frames);
      epoch++;
      if (random.below(2) === 0) store.apply();
    }
    t.is(store.committed, epoch);
    t.is(difference(stateOf(store), guest.state), undefined, `seed ${seed}`);
    await store.discard();
    t.false(fs.existsSync(directory));
  }
});

test('the shadow is one file all the time, exact, private, zeroed by a full copy', async t => {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory));
  t.teardown(() => store.close());
  const file = await store.prepare(MAIN.name, MAIN.bytes);
  const before = fs.statSync(file);
  t.is(before.size, MAIN.bytes);
  t.is(before.blocks, 0, 'a pairing does not wait for its memory');
  t.is(before.mode & 0o777, 0o600);
  t.is(fs.statSync(directory).mode & 0o777, 0o700);
  fs.writeFileSync(file, Buffer.alloc(MAIN.bytes, 0xaa), { flag: 'r+' });
  const guest = new ModelGuest(3);
  const full = guest.checkpoint(1, true);
  await feed(store, full);
  t.is(fs.statSync(file).ino, before.ino);
  t.is(fs.statSync(file).blocks * 512, MAIN.bytes, 'reserved');
  t.is(difference({ ...guest.state, blocks: blocksWith(file, guest) }, guest.state), undefined);
  // A second protection goes into the same file.
  const second = new ModelGuest(4, 2);
  await feed(store, second.checkpoint(1, true));
  t.is(fs.statSync(file).ino, before.ino);
  t.is(difference(stateOf(store), second.state), undefined);
});

function blocksWith(file: string, guest: ModelGuest): Buffer[] {
  return guest.state.blocks.map((block, index) =>
    index === LAYOUT.mainBlock
      ? fs.readFileSync(file)
      : block.subarray(0, LAYOUT.blocks[index]!.bytes),
  );
}

test('a commit record that does not fit what came is refused', async t => {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory));
  t.teardown(() => store.close());
  const guest = new ModelGuest(9);
  await feed(store, guest.checkpoint(1, true));
  const before = guest.copy();
  const frames = guest.checkpoint(2);
  for (let left = 1; left < frames.length - 1; left++) {
    const some = frames.filter((_, index) => index !== left);
    await t.throwsAsync(feed(store, some), { code: 'CURLING_REPLICATION_FRAME' });
    store.abort();
  }
  t.is(store.committed, 1);
  t.is(difference(stateOf(store), before), undefined);
});

test('a commit record with another digest is refused', async t => {
  const store = Store.create(optionsOf(directoryOf(t)));
  t.teardown(() => store.close());
  const guest = new ModelGuest(9);
  await feed(store, guest.checkpoint(1, true));
  const frames = guest.checkpoint(2);
  const other = frames.at(-1)!;
  const payload = Buffer.from(other.payload.flat());
  payload[20]! ^= 1;
  const { buffers } = encodeFrame(MESSAGE.commit, other, [payload]);
  const commit = { ...other, header: buffers[0]!, payload: Rope.of(payload) };
  await t.throwsAsync(feed(store, [...frames.slice(0, -1), commit]), {
    code: 'CURLING_REPLICATION_DIGEST',
  });
  t.is(store.committed, 1);
});

test('the bound of a checkpoint follows the memory of the guest, unless it is set', async t => {
  const store = Store.create(optionsOf(directoryOf(t)));
  t.teardown(() => store.close());
  await store.prepare('pc.ram', 96 << 20);
  t.is(store.stagedBytesMax, 144 << 20);
  const set = Store.create(optionsOf(directoryOf(t), { stagedBytesMax: 4 << 20 }));
  t.teardown(() => set.close());
  await set.prepare('pc.ram', 8192);
  t.is(set.stagedBytesMax, 4 << 20);
});

test('a full copy that is given up leaves nothing', async t => {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory));
  const guest = new ModelGuest(9);
  await feed(store, guest.checkpoint(1, true));
  const again = new ModelGuest(10, 2).checkpoint(7, true);
  await feed(store, again.slice(0, -1));
  store.abort();
  t.is(store.committed, undefined);
  t.is(store.identity, undefined);
  await store.close();
  t.true('nothing' in Store.recover(optionsOf(directory)));
});

test('a full copy that is given up while the shadow is being emptied never begins', async t => {
  const store = Store.create(optionsOf(directoryOf(t)));
  t.teardown(() => store.close());
  const frames = new ModelGuest(9).checkpoint(1, true);
  const beginning = feed(store, frames.slice(0, 1));
  store.abort();
  await t.throwsAsync(beginning, { code: 'CURLING_STORE' });
  await feed(store, frames);
  t.is(store.committed, 1);
});

test('a full copy that does not fit the prepared shadow is refused', async t => {
  const store = Store.create(optionsOf(directoryOf(t)));
  t.teardown(() => store.close());
  await store.prepare('pc.ram', 8192);
  const frames = new ModelGuest(9).checkpoint(1, true);
  await t.throwsAsync(feed(store, frames), { code: 'CURLING_STORE', message: /8192 bytes/ });
});

test('no room is found out when the shadow is prepared, with what is needed and free', async t => {
  const store = Store.create(optionsOf(directoryOf(t)));
  t.teardown(() => store.close());
  await t.throwsAsync(store.prepare('pc.ram', 2 ** 46), {
    code: 'CURLING_STORE',
    message: /needs \d.* MiB .*, [\d.]+ MiB are free/,
  });
  t.is(fs.statSync(await store.prepare('pc.ram', 4096)).size, 4096);
});

test('a directory that is a file or a link is refused', t => {
  const directory = directoryOf(t);
  fs.writeFileSync(directory, '');
  t.throws(() => Store.create(optionsOf(path.join(directory, 'x'))), { code: 'CURLING_STORE' });
  const link = `${directory}-link`;
  fs.symlinkSync('/tmp', link);
  t.throws(() => Store.create(optionsOf(link)), { code: 'CURLING_STORE' });
});

for (const last of ['acknowledged', 'applied'] as const) {
  test(`recovery is bound to VM, boot, manifest and the ${last} checkpoint`, async t => {
    const directory = directoryOf(t);
    const store = Store.create(optionsOf(directory));
    const guest = new ModelGuest(5);
    await feed(store, guest.checkpoint(1, true));
    await feed(store, guest.checkpoint(2));
    if (last === 'applied') store.apply();
    else store.noteAck(2);
    await store.close();
    const nothing = (change: object, pattern: RegExp) => {
      const result = Store.recover(optionsOf(directory, change));
      t.regex('nothing' in result ? result.nothing : 'intact', pattern);
    };
    nothing({ vm: 'vm2' }, /belongs to the VM vm1/);
    nothing({ bootId: 'other' }, /before the last boot/);
    for (const [name, pattern] of [
      ['manifest', /damaged/],
      ['slot-0', /checkpoint 2 is lost/],
    ] as const) {
      const file = path.join(directory, name);
      const bytes = fs.readFileSync(file);
      for (let at = 0; at < bytes.length; at += 1 + (bytes.length >> 6)) {
        const bad = Buffer.from(bytes);
        bad[at]! ^= 1;
        fs.writeFileSync(file, bad);
        nothing({}, pattern);
      }
      fs.writeFileSync(file, bytes);
    }
    const result = Store.recover(optionsOf(directory));
    if ('nothing' in result) return t.fail(result.nothing);
    t.is(result.store.acked, last === 'applied' ? undefined : 2);
    t.deepEqual(result.store.identity, {
      generation: 1,
      sender: IDENTITY.sender,
      receiver: IDENTITY.receiver,
    });
    t.is(difference(stateOf(result.store), guest.state), undefined);
    await result.store.discard();
  });
}

test('a slot of an earlier protection is never taken for one of this', async t => {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory));
  const first = new ModelGuest(5);
  await feed(store, first.checkpoint(1, true));
  for (let epoch = 2; epoch <= 9; epoch++) await feed(store, first.checkpoint(epoch));
  // The same pair and generation, an older epoch: only the store's own order tells them apart.
  const second = new ModelGuest(6);
  await feed(store, second.checkpoint(4, true));
  await store.close();
  const result = Store.recover(optionsOf(directory));
  if ('nothing' in result) return t.fail(result.nothing);
  t.is(result.store.committed, 4);
  t.is(difference(stateOf(result.store), second.state), undefined);
  await result.store.discard();
});

test('a store that is not to be recovered writes pages once, and is refused in another process', async t => {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory, { recoverable: false }));
  const guest = new ModelGuest(5);
  for (let epoch = 1; epoch <= 6; epoch++) {
    await feed(store, guest.checkpoint(epoch, epoch === 1));
    store.noteAck(epoch);
    if (epoch % 2 === 0) store.apply();
  }
  for (const name of ['slot-0', 'slot-1', 'marks'])
    t.is(fs.statSync(path.join(directory, name)).size, 0);
  t.is(difference(stateOf(store), guest.state), undefined);
  await store.close();
  t.true('nothing' in Store.recover(optionsOf(directory)));
});

test('forgetting keeps the shadow file and nothing else that counts', async t => {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory));
  const guest = new ModelGuest(5);
  const file = await store.prepare(MAIN.name, MAIN.bytes);
  const { ino } = fs.statSync(file);
  await feed(store, guest.checkpoint(1, true));
  store.forget();
  t.is(store.committed, undefined);
  t.is(fs.statSync(file).ino, ino);
  await store.close();
  t.true('nothing' in Store.recover(optionsOf(directory)));
});
