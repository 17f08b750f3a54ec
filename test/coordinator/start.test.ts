/** What a coordinator finds when it starts, and cannot work with: a coded error, an end by itself, and no output. */
import fs from 'node:fs';
import net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { createRequest } from '../../coordinator/arbitration/host-start.ts';
import { Bench, Double, freePort, type Program, STANDBY_COMMAND, until, VM } from './bench.ts';

const OTHER = { host: 'z', incarnation: 'f'.repeat(32) };

/** The program ends by itself with this status and this code on stderr, and nothing was let out. */
async function refused(
  t: ExecutionContext,
  bench: Bench,
  program: Program,
  expected: { status: number; code: string; text?: RegExp },
): Promise<void> {
  t.is(await program.end(), expected.status, program.said);
  const last = program.said.trimEnd().split('\n').at(-1)!;
  t.true(last.startsWith(`curling-coordinator: ${expected.code}: `), program.said);
  if (expected.text) t.regex(last, expected.text);
  t.false(bench.released);
  t.false(fs.existsSync(bench.path('control.sock')));
}

/** A unix socket whose server does this with every connection. */
async function monitor(
  t: ExecutionContext,
  bench: Bench,
  serve: (socket: net.Socket) => void,
): Promise<void> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>(resolve => server.listen(bench.path('qmp.sock'), resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
}

test('no monitor at --qmp, or nobody behind its socket', async t => {
  const bench = await Bench.create(t);
  const expected = { status: 1, code: 'CURLING_CONNECT', text: /qmp\.sock/ };
  await refused(t, bench, bench.start('primary', {}, ['--create']), expected);
  const server = net.createServer();
  await new Promise<void>(resolve => server.listen(bench.path('other.sock'), resolve));
  fs.linkSync(bench.path('other.sock'), bench.path('qmp.sock'));
  await new Promise(resolve => server.close(resolve));
  t.true(fs.existsSync(bench.path('qmp.sock')));
  await refused(t, bench, bench.start('primary', {}, ['--create']), expected);
});

test('a monitor that speaks something else, closes at once, or says nothing', async t => {
  const cases: [(socket: net.Socket) => void, string][] = [
    [socket => socket.write('SSH-2.0-OpenSSH_9.2\r\n'), 'CURLING_MESSAGE'],
    [socket => socket.write('{"hello": 1}\n'), 'CURLING_MESSAGE'],
    [socket => socket.end(), 'CURLING_CONNECT'],
    [() => {}, 'CURLING_TIMEOUT'],
  ];
  for (const [serve, code] of cases) {
    const bench = await Bench.create(t);
    await monitor(t, bench, serve);
    await refused(t, bench, bench.start('primary', {}, ['--create']), { status: 1, code });
  }
});

test('a monitor that closes in the middle of a command', async t => {
  const bench = await Bench.create(t);
  const guest = await bench.guest({ 'query-migrate': () => guest.close() });
  const program = bench.start('primary', {}, ['--create']);
  await refused(t, bench, program, { status: 1, code: 'CURLING_CONNECTION_LOST' });
});

test('a witness that is down, has another store, or knows nothing of the machine', async t => {
  const bench = await Bench.create(t);
  const guest = await bench.guest();
  const down = bench.start('primary', { witness: `127.0.0.1:${await freePort()}` }, ['--create']);
  const unreachable = { status: 1, code: 'CURLING_WITNESS_UNREACHABLE', text: /ECONNREFUSED/ };
  await refused(t, bench, down, unreachable);
  const other = bench.start('primary', { 'witness-store': '0'.repeat(32) }, ['--create']);
  await refused(t, bench, other, { status: 4, code: 'CURLING_WITNESS_STORE' });
  const empty = { status: 1, code: 'CURLING_REGISTER', text: /create/ };
  await refused(t, bench, bench.start('primary'), empty);
  t.is(await bench.store.read(VM), null, 'no register came about');
  t.false(guest.said.includes('quit'), 'the guest was not ended');
  // The same host with a witness that knows it: so the double of the proxy can be seen to be let out.
  await bench.serving('primary', {}, ['--create']);
  t.is((await bench.status()).state, 'SOLO');
  t.true(bench.released);
});

test('no proxy', async t => {
  const bench = await Bench.create(t);
  await bench.guest();
  await bench.proxy.close();
  const expected = { status: 1, code: 'CURLING_CONNECT', text: /proxy\.sock/ };
  await refused(t, bench, bench.start('primary', {}, ['--create']), expected);
});

test('the address for primaries is taken', async t => {
  const bench = await Bench.create(t);
  await bench.guest();
  const server = net.createServer();
  await new Promise<void>(resolve => server.listen(bench.port, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const expected = { status: 4, code: 'CURLING_SOCKET_IN_USE' };
  await refused(t, bench, bench.start('primary', {}, ['--create']), expected);
  await refused(t, bench, bench.start('backup'), expected);
});

test('the control socket is served by something else', async t => {
  const bench = await Bench.create(t);
  await bench.guest();
  await new Double('other', {}).listen(t, bench.path('control.sock'));
  const program = bench.start('primary', {}, ['--create']);
  t.is(await program.end(), 4, program.said);
  t.regex(program.said, /curling-coordinator: CURLING_SOCKET_IN_USE: .*control\.sock/);
  t.is(await bench.store.read(VM), null, 'no register came about');
  t.false(bench.released);
});

test('a second coordinator of the same host changes nothing for the first', async t => {
  const bench = await Bench.create(t);
  const first = await bench.serving('backup');
  const before = fs.readFileSync(bench.path('run/identity.json'), 'utf8');
  const files = fs.readdirSync(bench.path('shadow')).map(name => {
    const { ino } = fs.statSync(bench.path(`shadow/${name}`));
    return [name, ino];
  });
  const second = bench.start('backup');
  t.is(await second.end(), 4, second.said);
  t.regex(second.said, /CURLING_SOCKET_IN_USE/);
  t.is(fs.readFileSync(bench.path('run/identity.json'), 'utf8'), before);
  const after = fs.readdirSync(bench.path('shadow')).map(name => {
    const { ino } = fs.statSync(bench.path(`shadow/${name}`));
    return [name, ino];
  });
  t.deepEqual(after, files);
  t.true(first.alive);
  t.is((await bench.status()).state, 'JOIN');
});

test('a second coordinator with a control socket of its own does not get the same run directory', async t => {
  const bench = await Bench.create(t);
  const first = await bench.serving('backup');
  const before = fs.readFileSync(bench.path('run/identity.json'), 'utf8');
  const control = bench.path('other.sock');
  const second = bench.start('backup', { control, listen: `127.0.0.1:${await freePort()}` });
  t.is(await second.end(), 4, second.said);
  t.regex(second.said, /CURLING_SOCKET_IN_USE.*run.*its own --run-dir/);
  t.is(fs.readFileSync(bench.path('run/identity.json'), 'utf8'), before);
  await first.kill();
  await bench.serving('backup', { listen: `127.0.0.1:${await freePort()}` });
});

test('a backup that tries no full copy says so', async t => {
  const bench = await Bench.create(t);
  await bench.serving('backup', {}, ['--no-trial-load', '--', ...STANDBY_COMMAND]);
  const { warnings, trialMs } = await bench.status();
  t.is(trialMs, null);
  t.regex(warnings.join(), /--no-trial-load/);
  const other = await Bench.create(t);
  await other.serving('backup');
  t.deepEqual((await other.status()).warnings, []);
});

test('a guest that another host owns is ended, and says nothing more', async t => {
  const bench = await Bench.create(t);
  const guest = await bench.guest();
  await bench.store.swap(createRequest(VM, OTHER));
  await bench.serving('primary');
  await bench.untilStatus('an empty host', status => status.state === 'JOIN');
  t.true(guest.said.includes('quit'));
  t.false(bench.released);
});

test('a machine whose owner is gone starts afresh once its register is forgotten', async t => {
  const bench = await Bench.create(t);
  await bench.store.swap(createRequest(VM, OTHER));
  await bench.store.forget(VM);
  const guest = await bench.guest();
  await bench.serving('primary', {}, ['--create']);
  t.like(await bench.status(), { state: 'SOLO', generation: 3 });
  t.true(bench.released);
  // Forgotten while it runs, it keeps its grant: nobody tells it. Another owner ends it.
  await bench.store.forget(VM);
  await bench.store.swap(createRequest(VM, OTHER));
  await bench.untilStatus('an empty host', status => status.state === 'JOIN');
  t.true(guest.said.includes('quit'));
});

test('a guest that another host owns and that will not end keeps this host from joining', async t => {
  const bench = await Bench.create(t);
  const guest = await bench.guest({ quit: () => ({}) });
  await bench.store.swap(createRequest(VM, OTHER));
  const program = await bench.serving('primary');
  await until('a second attempt', () => guest.said.filter(word => word === 'quit').length > 1);
  const status = await bench.untilStatus('said so', ({ reason }) => /does not end/.test(reason));
  t.is(status.state, 'HALT');
  await guest.close();
  await bench.untilStatus('an empty host', ({ state }) => state === 'JOIN');
  t.true(program.alive);
  t.false(bench.released);
});
