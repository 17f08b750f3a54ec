/** Machines that cannot be protected, and standbys that cannot take them: refused in plain words, and the guest is free. */
import test, { type ExecutionContext } from 'ava';
import type { CommandHandler } from '../../common/qmp/server.ts';
import { Bench, STANDBY_COMMAND } from './bench.ts';

/** A primary that looks for its backup at `b`, and the reason that it comes to say. */
async function unprotected(
  t: ExecutionContext,
  a: Bench,
  b: Bench,
  reason: RegExp,
  changes: Record<string, CommandHandler | undefined> = {},
): Promise<void> {
  await a.guest(changes);
  const program = await a.serving('primary', { peer: `127.0.0.1:${b.port}` }, ['--create']);
  const status = await a.untilStatus(String(reason), said => reason.test(said.reason));
  t.is(status.state, 'SOLO');
  t.false(status.protected);
  t.true(program.alive);
  t.is(a.proxy.said.at(-1), 'query-status');
  t.true(a.proxy.said.includes('bypass'), 'its guest speaks freely');
}

async function twoHosts(t: ExecutionContext): Promise<[Bench, Bench]> {
  const a = await Bench.create(t);
  return [a, await Bench.create(t, a)];
}

test('a QEMU without COLO, or with a writable disk, is not protected', async t => {
  const [a, b] = await twoHosts(t);
  const backup = await b.serving('backup', { host: 'b' });
  await unprotected(t, a, b, /x-colo is not there/, { 'query-migrate-capabilities': () => [] });
  t.false(backup.said.includes('full copy'));
  const [c, d] = await twoHosts(t);
  const disk = { device: 'disk0', inserted: { ro: false } };
  await unprotected(t, c, d, /disk0 \(a writable disk/, { 'query-block': () => [disk] });
});

test('a backup that is not there is looked for again', async t => {
  const [a, b] = await twoHosts(t);
  await unprotected(t, a, b, /^cannot connect to the backup at \S+:\d+: ECONNREFUSED$/);
  await b.serving('backup', { host: 'b' }, ['--', ...STANDBY_COMMAND, 'pc-other']);
  await a.untilStatus('found', status => /differs/.test(status.reason));
});

test('a standby that does not start, ends at once, or is another machine', async t => {
  const cases: [string[], RegExp][] = [
    [['/nonexistent/qemu'], /standby QEMU.*could not be started.*ENOENT/],
    [
      [...STANDBY_COMMAND, 'exit', '3', 'no such device: e9999'],
      /ended with status 3.*no such device: e9999/,
    ],
    [
      [...STANDBY_COMMAND, 'pc-other'],
      /the standby on b differs from the guest on a: machine type: pc-other on b, pc-fake on a \(-machine must/,
    ],
  ];
  for (const [command, reason] of cases) {
    const [a, b] = await twoHosts(t);
    const backup = await b.serving('backup', { host: 'b' }, ['--', ...command]);
    await unprotected(t, a, b, reason);
    t.true(backup.alive);
    t.is((await b.status()).state, 'JOIN');
    t.false(b.released);
  }
});

test('a backup of another machine refuses by the name', async t => {
  const [a, b] = await twoHosts(t);
  await b.serving('backup', { host: 'b', vm: 'vm2' });
  await unprotected(t, a, b, /another virtual machine/);
  t.false(b.released);
});

test('a QEMU that takes no migration command is let go, and its guest speaks on', async t => {
  const [a, b] = await twoHosts(t);
  await b.serving('backup', { host: 'b' });
  await unprotected(t, a, b, /migrate/, { migrate: undefined });
  t.is((await a.status()).proxy.state, 'bypass');
});

test('a primary ends in good order, whatever it is at', async t => {
  const [a, b] = await twoHosts(t);
  const backup = await b.serving('backup', { host: 'b' });
  await a.guest();
  const primary = await a.serving('primary', { peer: `127.0.0.1:${b.port}` }, ['--create']);
  // The double of QEMU never sends a byte: the full copy is under way for ever.
  await b.untilStatus('a copy under way', status => /full copy/.test(status.reason));
  primary.child.kill('SIGTERM');
  t.is(await primary.end(), 0, primary.said);
  await b.untilStatus('waiting', status => /waits for a primary/.test(status.reason));
  backup.child.kill('SIGTERM');
  t.is(await backup.end(), 0, backup.said);
});
