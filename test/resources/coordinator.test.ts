/** A backup's real process that runs out of something, with a primary that this test plays. */
import net from 'node:net';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { monotonicClock } from '../../common/clock.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { describeGuest } from '../../coordinator/qemu/guest-description.ts';
import { SenderSession } from '../../coordinator/replication/sender.ts';
import { drive, SocketLink } from '../../coordinator/replication/transport.ts';
import { Bench, STANDBY_COMMAND, until, VM } from '../coordinator/bench.ts';
import { FAKE_RAM_BYTES, guestAnswers } from '../coordinator/fake-guest.ts';
import { fill, noMoreFiles, smallMount, strangersTo } from './limits.ts';

/** The double of a standby cannot load what it is given. */
const UNTRIED = ['--no-trial-load', '--', ...STANDBY_COMMAND];

const LAYOUT = {
  machine: 'pc-fake',
  subsections: Buffer.alloc(0),
  ram: { sectionId: 2, instanceId: 0, version: 4 },
  blocks: [
    { name: 'pc.ram', bytes: FAKE_RAM_BYTES },
    { name: 'vga', bytes: 4096 },
  ],
  mainBlock: 0,
};

/** What the double of the standby says of itself. */
async function guest(): Promise<unknown> {
  const answers = guestAnswers();
  const execute = async (command: string, args: JsonObject = {}) =>
    (answers[command] as (args: JsonObject) => unknown)(args);
  return describeGuest({ execute } as unknown as QmpClient);
}

/** A primary on a connection of its own, and what it heard. */
class Played {
  readonly heard: string[] = [];
  readonly session: SenderSession;

  private constructor(socket: net.Socket, description: unknown) {
    const say = (text: string) => this.heard.push(text);
    const options = { vm: VM, host: 'z', generation: 1, epoch: 0, guest: description };
    const link = new SocketLink(socket);
    this.session = new SenderSession(
      { ...options, mainBytes: FAKE_RAM_BYTES, sender: 'a1'.repeat(16), checkpointsMax: 64 },
      link,
      {
        welcome: () => say('welcome'),
        ack: epoch => say(`ack ${epoch}`),
        windowOpen: () => {},
        heard: () => {},
        refused: error => say(`refused ${error.code} ${error.message}`),
        bye: reason => say(`bye ${reason}`),
        closed: error => say(`closed ${error?.code ?? 'well'}`),
      },
    );
    const ready = () => this.session.state === 'ready';
    const how = { clock: monotonicClock, beatMs: 50, bulk: false, ready };
    drive(socket, link, this.session.channel, how);
  }

  static async connect(t: ExecutionContext, port: number): Promise<Played> {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
    t.teardown(() => socket.destroy());
    const played = new Played(socket, await guest());
    played.session.start();
    return played;
  }

  async until(text: string): Promise<void> {
    await until(`${text}; heard ${this.heard}`, () =>
      this.heard.some(line => line.startsWith(text)),
    );
  }

  /** Sends a checkpoint of some pages with content, whole. */
  checkpoint(epoch: number, pages: number): void {
    if (this.session.state !== 'ready') return;
    if (epoch === 1) this.session.beginFull(2, epoch, LAYOUT);
    else this.session.beginCheckpoint(epoch);
    for (let left = pages; left > 0; left -= 256) {
      const chunk = new PageChunk();
      const count = Math.min(left, 256);
      for (let page = 0; page < count; page++) chunk.data.fill(epoch, chunk.addData(0, page), 4096);
      this.session.chunk(chunk, () => {});
    }
    this.session.device(Buffer.alloc(100, epoch));
    this.session.commit();
  }
}

test('a store without room refuses the pairing and says what is needed (needs root)', async t => {
  const mount = smallMount(t, 8 << 10);
  const bench = await Bench.create(t);
  const program = await bench.serving('backup', { 'shadow-dir': path.join(mount, VM) }, UNTRIED);
  const primary = await Played.connect(t, bench.port);
  await primary.until('refused CURLING_STORE');
  t.regex(primary.heard.join(), /needs 80\.0 MiB .* are free; enlarge that file system/);
  t.true(program.alive, program.said);
  const status = await bench.untilStatus('JOIN', ({ reason }) => /MiB/.test(reason));
  t.is(status.state, 'JOIN');
  t.false(bench.released);
});

test('a store that is full when the full copy begins commits nothing of it and tells the primary (needs root)', async t => {
  const mount = smallMount(t, 128 << 10);
  const bench = await Bench.create(t);
  const program = await bench.serving('backup', { 'shadow-dir': path.join(mount, VM) }, UNTRIED);
  const primary = await Played.connect(t, bench.port);
  await primary.until('welcome');
  const empty = fill(mount);
  primary.checkpoint(1, 16);
  primary.checkpoint(2, 600);
  await primary.until('refused CURLING_STORE');
  t.regex(primary.heard.join(), /ENOSPC|0\.0 MiB are free/);
  t.false(primary.heard.some(line => line.startsWith('ack')));
  t.true(program.alive, program.said);
  t.false(bench.released);
  empty();
});

test('a store needs no room once a full copy is there (needs root)', async t => {
  const mount = smallMount(t, 128 << 10);
  const bench = await Bench.create(t);
  const program = await bench.serving('backup', { 'shadow-dir': path.join(mount, VM) }, UNTRIED);
  const primary = await Played.connect(t, bench.port);
  await primary.until('welcome');
  primary.checkpoint(1, 16);
  await primary.until('ack 1');
  const empty = fill(mount);
  primary.checkpoint(2, 600);
  primary.checkpoint(3, 600);
  await primary.until('ack 3');
  t.true(program.alive, program.said);
  empty();
});

test('a coordinator without descriptors lets nobody in and goes on (needs root)', async t => {
  const bench = await Bench.create(t);
  const program = await bench.serving('backup', {}, UNTRIED);
  const primary = await Played.connect(t, bench.port);
  await primary.until('welcome');
  primary.checkpoint(1, 16);
  await primary.until('ack 1');
  const control = await bench.control();
  const more = noMoreFiles(program.child.pid!);
  const strangers = strangersTo(t, { host: '127.0.0.1', port: bench.port });
  const local = strangersTo(t, { path: bench.path('control.sock') });
  await until('strangers are turned away', () =>
    [strangers, local].every(list => list.filter(socket => socket.closed).length > 5),
  );
  primary.checkpoint(2, 16);
  await primary.until('ack 2');
  t.like(await control.execute('query-status'), { vm: VM });
  t.true(program.alive, program.said);
  for (const socket of [...strangers, ...local]) socket.destroy();
  more();
  t.is((await bench.status()).vm, VM);
});
