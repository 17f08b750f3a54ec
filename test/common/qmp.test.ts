import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { QmpServer, type QmpServerOptions } from '../../common/qmp/server.ts';

interface Fixture {
  server: QmpServer;
  socket: string;
}

async function serve(
  t: ExecutionContext,
  options: Partial<QmpServerOptions> = {},
): Promise<Fixture> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-qmp-'));
  const socket = path.join(directory, 'control.sock');
  const commands = {
    echo: (args: Record<string, unknown>) => args,
    fail: () => {
      throw new CurlingError('CURLING_EPOCH', 'epoch 3 is open, got 4');
    },
    never: () => new Promise(() => {}),
  };
  const server = new QmpServer({ program: 'test', commands, ...options });
  await server.listen(socket);
  t.teardown(async () => {
    await server.close();
    fs.rmSync(directory, { recursive: true, force: true });
  });
  return { server, socket };
}

/** Sends raw text and gathers what comes back until the server closes or `until` is found. */
function raw(
  socket: string,
  text: string,
  until: string,
): Promise<{ answer: string; closed: boolean }> {
  return new Promise((resolve, reject) => {
    const client = net.connect({ path: socket }, () => client.write(text));
    let answer = '';
    client.on('data', chunk => {
      answer += chunk;
      if (!answer.includes(until)) return;
      resolve({ answer, closed: false });
      client.destroy();
    });
    client.on('close', () => resolve({ answer, closed: true }));
    client.on('error', reject);
  });
}

const HELLO = '{"execute":"qmp_capabilities"}\n';

test('a command is answered with its return value, an event reaches the client', async t => {
  const { server, socket } = await serve(t);
  const client = await QmpClient.connect(socket);
  t.teardown(() => client.close());
  t.deepEqual(await client.execute('echo', { epoch: 7 }), { epoch: 7 });
  const event = new Promise(resolve => client.once('event', resolve));
  server.emit('OUTPUT_PENDING', { epoch: 8 });
  t.like(await event, { event: 'OUTPUT_PENDING', data: { epoch: 8 } });
});

test("an error keeps its code on curling's side of the wire", async t => {
  const { socket } = await serve(t);
  const client = await QmpClient.connect(socket);
  t.teardown(() => client.close());
  await t.throwsAsync(client.execute('fail'), {
    code: 'CURLING_EPOCH',
    message: 'epoch 3 is open, got 4',
  });
  await t.throwsAsync(client.execute('nonsense'), { code: 'CURLING_COMMAND_UNKNOWN' });
});

test('nothing is executed before the negotiation', async t => {
  const { socket } = await serve(t);
  const { answer } = await raw(socket, '{"execute":"echo"}\n', '"error"');
  t.regex(answer, /CommandNotFound.*expected qmp_capabilities/);
});

for (const [name, text, expected] of [
  ['text that is not JSON', 'hello\n', /expected JSON/],
  ['a number', '7\n', /expected an object/],
  ['an object without execute', '{"exec":"echo"}\n', /expected the member \\"execute\\"/],
  ['arguments that are a list', '{"execute":"echo","arguments":[1]}\n', /expected an object as/],
  [
    'the name of an inherited member',
    `${HELLO}{"execute":"constructor"}\n`,
    /no command constructor/,
  ],
] as const) {
  test(`${name} is answered with an error, and the connection goes on`, async t => {
    const { server, socket } = await serve(t);
    const { answer, closed } = await raw(socket, text, '"error"');
    t.regex(answer, expected);
    t.false(closed);
    const client = await QmpClient.connect(socket);
    t.deepEqual(await client.execute('echo', { still: 'there' }), { still: 'there' });
    client.close();
    t.true(server.counters.commands >= 1);
  });
}

test('a huge line is refused, and only its sender loses the connection', async t => {
  const { server, socket } = await serve(t, { lineBytesMax: 1024 });
  const { answer, closed } = await raw(socket, 'x'.repeat(5000), 'never said');
  t.true(closed);
  t.regex(answer, /longer than 1024 bytes/);
  t.is(server.counters.linesTooLong, 1);
});

test('one client too many is closed at once', async t => {
  const { server, socket } = await serve(t, { clientsMax: 1 });
  const client = await QmpClient.connect(socket);
  t.teardown(() => client.close());
  await t.throwsAsync(QmpClient.connect(socket), { code: 'CURLING_CONNECT' });
  t.is(server.counters.refused, 1);
  t.deepEqual(await client.execute('echo', {}), {});
});

test('a client that does not read is closed at the bound', async t => {
  const { server, socket } = await serve(t, { unsentBytesMax: 64 << 10 });
  const deaf = net.connect({ path: socket });
  t.teardown(() => deaf.destroy());
  await new Promise<void>(resolve => deaf.once('data', () => resolve()));
  deaf.pause();
  deaf.write(HELLO);
  const client = await QmpClient.connect(socket);
  t.teardown(() => client.close());
  const noise = 'n'.repeat(4096);
  for (let round = 0; round < 1000 && server.counters.slowClientsClosed === 0; round++) {
    server.emit('NOISE', { noise });
    await client.execute('echo', {});
  }
  t.is(server.counters.slowClientsClosed, 1);
});

test('a command that is never answered ends with a time-out, a lost server with its own error', async t => {
  const { server, socket } = await serve(t);
  const client = await QmpClient.connect(socket);
  await t.throwsAsync(client.execute('never', {}, { timeoutMs: 20 }), { code: 'CURLING_TIMEOUT' });
  const waiting = client.execute('never');
  await server.close();
  await t.throwsAsync(waiting, { code: 'CURLING_CONNECTION_LOST' });
  await t.throwsAsync(client.execute('echo'), { code: 'CURLING_CONNECTION_LOST' });
});

test('at most so many commands are under way', async t => {
  const { socket } = await serve(t);
  const client = await QmpClient.connect(socket, { pendingMax: 2 });
  const waiting = [client.execute('never'), client.execute('never')];
  await t.throwsAsync(client.execute('echo'), { code: 'CURLING_BUSY' });
  client.close();
  for (const command of waiting) await t.throwsAsync(command, { code: 'CURLING_CONNECTION_LOST' });
});

test('a socket that is served is refused, one whose server died is replaced', async t => {
  const { socket } = await serve(t);
  const second = new QmpServer({ program: 'second', commands: {} });
  await t.throwsAsync(second.listen(socket), { code: 'CURLING_SOCKET_IN_USE' });
  const stale = `${socket}.stale`;
  const dead = net.createServer();
  await new Promise<void>(resolve => dead.listen({ path: stale }, () => resolve()));
  fs.linkSync(stale, `${stale}.kept`);
  await new Promise<void>(resolve => dead.close(() => resolve()));
  fs.renameSync(`${stale}.kept`, stale);
  await t.notThrowsAsync(second.listen(stale));
  await second.close();
});

test('a client says what was wrong with a server that is none', async t => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-qmp-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  await t.throwsAsync(QmpClient.connect(path.join(directory, 'nobody.sock')), {
    code: 'CURLING_CONNECT',
  });
  const babble = path.join(directory, 'babble.sock');
  const silent = path.join(directory, 'silent.sock');
  const servers = [
    net.createServer(socket => socket.end('220 smtp ready\n')).listen({ path: babble }),
    net.createServer().listen({ path: silent }),
  ];
  t.teardown(() => {
    for (const server of servers) server.close();
  });
  await t.throwsAsync(QmpClient.connect(babble), { code: 'CURLING_MESSAGE' });
  await t.throwsAsync(QmpClient.connect(silent, { connectTimeoutMs: 50 }), {
    code: 'CURLING_TIMEOUT',
  });
});
