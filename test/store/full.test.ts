import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Store } from '../../coordinator/checkpoint/store.ts';
import { difference, feed, optionsOf, stateOf } from './feed.ts';
import { LAYOUT, ModelGuest } from './model.ts';

/** A small memory file system of its own. */
function mountOf(t: ExecutionContext, kibibytes: number): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-test-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'curling-test', directory]);
  t.teardown(() => {
    execFileSync('umount', ['-l', directory]);
    fs.rmdirSync(directory);
  });
  return directory;
}

test('root: a full file system refuses the checkpoint and keeps the committed one', async t => {
  const mount = mountOf(t, 1024);
  const store = Store.create(optionsOf(path.join(mount, 'vm1'), { spareBytes: 256 << 10 }));
  t.teardown(() => store.close());
  const guest = new ModelGuest(77);
  await feed(store, guest.checkpoint(1, true));
  await feed(store, guest.checkpoint(2));
  store.apply();
  const before = guest.copy();
  const { bavail, bsize } = fs.statfsSync(mount);
  fs.writeFileSync(path.join(mount, 'ballast'), Buffer.alloc(bavail * bsize));
  // Checkpoints differ in size; the first one that needs more than the slot already has is refused.
  let refused: unknown;
  for (let epoch = 3; epoch < 60 && !refused; epoch++) {
    const frames = guest.checkpoint(epoch);
    try {
      await feed(store, frames);
      // The shadow was reserved, so this cannot fail.
      store.apply();
      before.blocks = guest.copy().blocks;
      before.device = guest.copy().device;
    } catch (error) {
      refused = error;
    }
  }
  t.like(refused, { code: 'CURLING_STORE' });
  t.regex(String(refused), /ENOSPC/);
  store.abort();
  t.is(difference(stateOf(store), before), undefined);
});

test('root: a file system that is too small is refused when the shadow is prepared', async t => {
  const mount = mountOf(t, 128);
  const store = Store.create(optionsOf(path.join(mount, 'vm1'), { spareBytes: 0 }));
  t.teardown(() => store.close());
  const main = LAYOUT.blocks[LAYOUT.mainBlock]!;
  await t.throwsAsync(store.prepare(main.name, main.bytes), {
    code: 'CURLING_STORE',
    message: /needs 0\.2 MiB .* 0\.1 MiB are free/,
  });
});
