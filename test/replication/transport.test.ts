import { once } from 'node:events';
import net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { type DialOptions, dialBackup } from '../../coordinator/replication/dial.ts';
import { encodeFrame } from '../../coordinator/replication/encode.ts';
import {
  BackupListener,
  type ListenerHandlers,
  type ListenerOptions,
} from '../../coordinator/replication/listener.ts';
import type { SenderHandlers, SenderSession } from '../../coordinator/replication/sender.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { ADDRESS, RECEIVER, SENDER } from './fixtures.ts';
import { LAYOUT, ListSink } from './world.ts';

/** Lines that can be waited for. */
class Log {
  readonly lines: string[] = [];
  #wake = () => {};

  say(line: string): void {
    this.lines.push(line);
    this.#wake();
  }

  /**
   * Resolves once a line that begins with `start` is there; rejects when the session ended without
   * one.
   */
  async until(start: string): Promise<string> {
    for (;;) {
      const found = this.lines.find(line => line.startsWith(start));
      if (found !== undefined) return found;
      const closed = this.lines.find(line => line.startsWith('closed'));
      if (closed !== undefined) throw new Error(`waited for ${start}, got ${closed}`);
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
  }
}

interface Backup {
  listener: BackupListener;
  sink: ListSink;
  log: Log;
}

async function backup(
  t: ExecutionContext,
  options: Partial<ListenerOptions> = {},
): Promise<Backup> {
  const sink = new ListSink();
  sink.stagedBytesMax = 4 << 20;
  const log = new Log();
  const handlers: ListenerHandlers = {
    hello: async hello => log.say(`hello ${hello.host}`),
    full: () => {},
    committed: epoch => {
      log.say(`committed ${epoch}`);
      listener.session?.ack(epoch);
    },
    heard: () => {},
    guestLost: reason => log.say(`lost ${reason}`),
    bye: reason => log.say(`bye ${reason}`),
    closed: error => log.say(`closed ${error?.code ?? 'well'}`),
  };
  const listener = new BackupListener(
    { vm: 'vm1', host: 'hostB', incarnation: () => RECEIVER, sink: () => sink, ...options },
    handlers,
  );
  await listener.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => listener.close());
  return { listener, sink, log };
}

function dial(t: ExecutionContext, port: number, options: Partial<DialOptions> = {}) {
  const log = new Log();
  const handlers: SenderHandlers = {
    welcome: () => log.say('welcome'),
    ack: epoch => log.say(`ack ${epoch}`),
    windowOpen: () => log.say('window'),
    heard: () => {},
    refused: error => log.say(`refused ${error.code}`),
    bye: reason => log.say(`bye ${reason}`),
    closed: error => log.say(`closed ${error?.code ?? 'well'} ${error?.message}`),
  };
  const session: SenderSession = dialBackup(
    {
      address: { host: '127.0.0.1', port },
      vm: 'vm1',
      host: 'hostA',
      generation: 0,
      epoch: 0,
      guest: {},
      mainBytes: LAYOUT.blocks[0]!.bytes,
      sender: SENDER,
      ...options,
    },
    handlers,
  );
  t.teardown(() => session.channel.destroy());
  return { session, log };
}

/** A connection that says what it is told to. */
async function rawClient(t: ExecutionContext, port: number, bytes?: Buffer): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (bytes) socket.write(bytes);
  socket.resume();
  return socket;
}

function fullCopy(session: SenderSession, epoch: number): Promise<void> {
  const chunk = new PageChunk(64);
  for (let page = 0; page < 64; page++) chunk.data.fill(page, chunk.addData(0, page));
  session.beginFull(1, epoch, LAYOUT);
  return new Promise(resolve => {
    session.chunk(chunk, resolve);
    session.device(Buffer.alloc(3 << 19, 9));
    session.commit();
  });
}

/** Resolves when a beat has been echoed; the test's own time limit bounds it. */
async function measured(session: SenderSession): Promise<void> {
  while (session.channel.roundTripMs === undefined) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

test('over TCP: full copy, checkpoints, acknowledgements, beats, end', async t => {
  const b = await backup(t, { beatMs: 5 });
  const a = dial(t, b.listener.port, { beatMs: 5 });
  await a.log.until('welcome');
  await fullCopy(a.session, 9);
  await a.log.until('ack 9');
  for (let epoch = 10; epoch < 40; epoch++) {
    a.session.beginCheckpoint(epoch);
    a.session.device(Buffer.alloc(1000, epoch));
    a.session.commit();
    await a.log.until(`ack ${epoch}`);
  }
  t.is(b.sink.committed, 39);
  await measured(a.session);
  a.session.bye('unprotect');
  t.is(await b.log.until('bye'), 'bye unprotect');
  t.is(await b.log.until('closed'), 'closed well');
});

test('chunks that never left come back when the connection ends', async t => {
  const b = await backup(t);
  b.sink.beginFull = () => new Promise(() => {});
  const a = dial(t, b.listener.port);
  await a.log.until('welcome');
  a.session.beginFull(1, 1, LAYOUT);
  const chunk = new PageChunk();
  while (!chunk.full) chunk.addData(0, 0);
  let back = 0;
  const all = Array.from(
    { length: 40 },
    () => new Promise<void>(resolve => a.session.chunk(chunk, () => resolve(void back++))),
  );
  // The backup does not read, so what the kernel does not take stays here.
  await all[0];
  t.true(back < 40);
  a.session.channel.destroy();
  await Promise.all(all);
  t.is(back, 40);
});

test('a primary that is cut off leaves room for the next one', async t => {
  const b = await backup(t);
  const a = dial(t, b.listener.port);
  await a.log.until('welcome');
  a.session.channel.destroy();
  t.is(await b.log.until('closed'), 'closed CURLING_CONNECTION_LOST');
  const next = dial(t, b.listener.port);
  await next.log.until('welcome');
  t.is(b.listener.counters.admitted, 2);
});

test('a second primary is refused and the first one goes on', async t => {
  const b = await backup(t);
  const a = dial(t, b.listener.port);
  await a.log.until('welcome');
  const second = dial(t, b.listener.port, { sender: 'cc'.repeat(16), host: 'hostC' });
  t.is(await second.log.until('refused'), 'refused CURLING_REPLICATION_REFUSED');
  t.regex(await second.log.until('closed'), /hostA is this backup's primary/);
  t.is(b.listener.counters.secondRefused, 1);
  await fullCopy(a.session, 1);
  await a.log.until('ack 1');
  t.is(b.sink.committed, 1);
});

test('who says nothing is closed, counted, and does not keep a primary out', async t => {
  const b = await backup(t, { handshakeMs: 60, halfOpenMax: 2 });
  const silent = [await rawClient(t, b.listener.port), await rawClient(t, b.listener.port)];
  const closed = silent.map(socket => once(socket, 'close'));
  const third = await rawClient(t, b.listener.port);
  await once(third, 'close');
  t.is(b.listener.counters.halfOpenRefused, 1);
  await Promise.all(closed);
  t.is(b.listener.counters.handshakeTimeouts, 2);
  const a = dial(t, b.listener.port);
  await a.log.until('welcome');
});

test('garbage, a wrong first message and another version are closed and counted', async t => {
  const b = await backup(t);
  const beat = encodeFrame(MESSAGE.ack, ADDRESS).buffers[0]!;
  const foreign = Buffer.from(beat);
  foreign.writeUInt16BE(7, 4);
  for (const bytes of [Buffer.from('x'.repeat(100)), beat, foreign]) {
    const socket = await rawClient(t, b.listener.port, bytes);
    await once(socket, 'close');
  }
  t.deepEqual(b.listener.counters.failed, {
    CURLING_REPLICATION_FRAME: 2,
    CURLING_REPLICATION_VERSION: 1,
  });
  t.deepEqual(b.log.lines, []);
});

test('no backup, a silent one, and a taken port are coded errors', async t => {
  const b = await backup(t);
  const clash = new BackupListener(
    { vm: 'v', host: 'h', incarnation: () => RECEIVER, sink: () => b.sink },
    {} as ListenerHandlers,
  );
  const address = { host: '127.0.0.1', port: b.listener.port };
  await t.throwsAsync(clash.listen(address), { code: 'CURLING_SOCKET_IN_USE' });
  const mute = net.createServer(socket => socket.resume());
  await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve));
  const { port } = mute.address() as net.AddressInfo;
  const waiting = dial(t, port, { timeoutMs: 50 });
  t.regex(await waiting.log.until('closed'), /CURLING_TIMEOUT/);
  await new Promise(resolve => mute.close(resolve));
  const lonely = dial(t, port);
  t.regex(await lonely.log.until('closed'), /CURLING_CONNECT .*ECONNREFUSED/);
});
