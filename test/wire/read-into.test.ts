/** What Node does with a handle that reads into our memory; a version that does otherwise must be found here. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Credentials } from '../../common/wire/credentials.ts';
import { readInto } from '../../common/wire/read-into.ts';
import { WireServer } from '../../common/wire/server.ts';
import { connect } from './rig.ts';

const KEYS: Credentials = {
  kind: 'keys',
  keys: new Map([['a', Buffer.alloc(32, 7)]]),
  host: 'a',
};

/** Both ends of a connection, and what the server's end has read into a ring of its own. */
async function pair(t: ExecutionContext, credentials: Credentials | undefined) {
  const got: Buffer[] = [];
  const buffers = [Buffer.alloc(50_000), Buffer.alloc(70_000)];
  let turn = 0;
  const reader = {
    space: () => buffers[turn % 2]!,
    filled: (bytes: number) => got.push(Buffer.from(buffers[turn++ % 2]!.subarray(0, bytes))),
  };
  let accepted!: (socket: net.Socket) => void;
  const server = new WireServer({
    credentials,
    connection: (socket, _peer, established) => {
      established();
      accepted(socket);
    },
  });
  t.teardown(() => server.close());
  await server.listen({ host: '127.0.0.1', port: 0 });
  const accepting = new Promise<net.Socket>(resolve => {
    accepted = resolve;
  });
  const { socket: client } = await connect(t, server.port, credentials);
  const socket = await accepting;
  const reading = readInto(socket, reader);
  const bytes = () => got.reduce((sum, piece) => sum + piece.length, 0);
  return { client, socket, reading, bytes, content: () => Buffer.concat(got) };
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 2_000 && !what(); tries++) await sleep(5);
}

for (const [name, credentials] of [
  ['plain', undefined],
  ['TLS', KEYS],
] as const) {
  test(`${name}: all bytes come in order, then the end`, async t => {
    const { client, socket, reading, content } = await pair(t, credentials);
    t.truthy(reading, 'this Node has what reads into memory of our own');
    const sent = randomBytes(3_000_000);
    const ended = once(socket, 'end');
    client.write(sent.subarray(0, 1));
    client.end(sent.subarray(1));
    await ended;
    t.true(content().equals(sent));
    socket.destroy();
    await once(socket, 'close');
  });

  test(`${name}: nothing is read while it is paused`, async t => {
    const { client, reading, bytes } = await pair(t, credentials);
    client.write(Buffer.alloc(1000));
    await until(() => bytes() === 1000);
    reading!.pause();
    client.write(Buffer.alloc(30_000_000));
    await sleep(50);
    // What TLS had decrypted already may still come.
    const before = bytes();
    t.true(before < 100_000, `${before}`);
    await sleep(50);
    t.is(bytes(), before);
    reading!.resume();
    await until(() => bytes() === 30_001_000);
    t.is(bytes(), 30_001_000);
  });

  test(`${name}: the other end vanishes, and the socket closes`, async t => {
    const { client, socket, reading } = await pair(t, credentials);
    socket.on('error', () => {});
    client.destroy();
    await once(socket, 'close');
    t.notThrows(() => reading!.pause());
    t.notThrows(() => reading!.resume());
  });

  test(`${name}: bytes that came before are not overtaken`, async t => {
    const { client, socket, content } = await pair(t, credentials);
    client.write('first');
    await until(() => content().length === 5);
    socket.unshift(Buffer.from('x'));
    t.is(readInto(socket, { space: () => Buffer.alloc(10), filled: () => {} }), undefined);
  });
}
