import net from 'node:net';
import { setImmediate } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { monotonicClock } from '../../common/clock.ts';
import type { CurlingError } from '../../common/errors.ts';
import { CurlingProtection } from '../../coordinator/curling/protection.ts';
import { isHere } from '../../coordinator/curling/session.ts';
import { unsentBytes } from '../../coordinator/curling/unsent.ts';
import type { OutputGate } from '../../coordinator/output-gate.ts';
import type { SenderSession } from '../../coordinator/replication/sender.ts';
import { Telemetry } from '../../coordinator/telemetry.ts';
import { until } from '../coordinator/bench.ts';
import { naiveCheckpoints, naiveHead } from './naive-curling.ts';

const GUEST = { sectionId: 3, blocks: [{ name: 'pc.ram', pages: 2_000 }] };
const HEAD = naiveHead(GUEST).length;
/** Checkpoints that all have the same bytes, one page each. */
const CHECKPOINT = naiveCheckpoints({
  ...GUEST,
  checkpoints: [
    { sections: [[], [{ block: 0, page: 3, content: 7 }]], device: Buffer.from([4, 1]) },
  ],
})[0]!;
const [HEAD_BYTES, REST] = [CHECKPOINT.subarray(0, HEAD), CHECKPOINT.subarray(HEAD)];

/** What was begun comes to its end, but for what waits for others. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await setImmediate();
}

/** A protection between a sender of bytes, a proxy that seals when it is told to, and a backup that writes down. */
class Rig {
  readonly told: string[] = [];
  readonly protection: CurlingProtection;
  window = true;
  /** Lets the proxy answer the oldest seal. */
  readonly seals: (() => void)[] = [];
  #socket!: net.Socket;
  #sent = 0;
  #sealsAtOnce = false;

  constructor() {
    const say = (what: string) => this.told.push(what);
    const link = {
      beginFull: (generation: number, epoch: number) => say(`full ${generation} ${epoch}`),
      beginCheckpoint: (epoch: number) => say(`begin ${epoch}`),
      chunk: (chunk: { count: number }, sent: () => void) => {
        say(`${chunk.count} pages`);
        queueMicrotask(sent);
      },
      device: (device: Buffer) => say(`device ${device.toString('hex')}`),
      commit: () => say('commit'),
    };
    const window = () => this.window;
    Object.defineProperty(link, 'window', { get: window });
    const gate = {
      seal: (epoch: number) => {
        say(`seal ${epoch}`);
        if (this.#sealsAtOnce) return Promise.resolve();
        return new Promise<void>(resolve => this.seals.push(resolve));
      },
    };
    this.protection = new CurlingProtection(
      {
        listen: { host: '127.0.0.1', port: 0 },
        mainBlock: 'pc.ram',
        stagingBytesMax: 0,
        generation: 5,
        epoch: 10,
        silenceMs: 2_000,
      },
      {
        gate: gate as unknown as OutputGate,
        link: link as unknown as SenderSession,
        clock: monotonicClock,
        telemetry: new Telemetry(monotonicClock, 'SYNC'),
        stopAt: () => {},
        handlers: {
          snapshot: epoch => say(`snapshot ${epoch}`),
          guestLost: (error: CurlingError) => say(error.code),
          proxyLost: (error: CurlingError) => say(error.code),
        },
      },
    );
  }

  /** @param noDelay Whether the sender has switched Nagle's algorithm off, as the patched QEMU has not. */
  static async start(t: ExecutionContext, noDelay = true): Promise<Rig> {
    const rig = new Rig();
    await rig.protection.start();
    rig.#socket = net.connect({ host: '127.0.0.1', port: rig.protection.port, noDelay });
    t.teardown(() => {
      rig.#socket.destroy();
      return rig.protection.end();
    });
    return rig;
  }

  /** Sends bytes and returns when they were read, and nothing more comes of them. */
  async send(...bytes: Buffer[]): Promise<void> {
    this.write(...bytes);
    await until('bytes to be read', () => this.protection.bytes === this.#sent);
    await turns();
  }

  write(...bytes: Buffer[]): void {
    this.#socket.write(Buffer.concat(bytes));
    for (const { length } of bytes) this.#sent += length;
  }

  /** As an owner does when output is held. */
  async begin(): Promise<void> {
    this.protection.begin();
    await turns();
  }

  cut(): void {
    this.#socket.destroy();
  }

  sealsAtOnce(): void {
    this.#sealsAtOnce = true;
  }

  async sealed(): Promise<void> {
    this.seals.shift()!();
    await turns();
  }

  /** What was told since the last time. */
  take(): string[] {
    return this.told.splice(0);
  }

  /** Up to the first checkpoint of the pair, whose epoch 11 is sealed. */
  async protected(): Promise<void> {
    await this.send(CHECKPOINT, HEAD_BYTES);
    await this.begin();
    await this.send(REST, HEAD_BYTES);
    this.protection.committed(10);
    this.protection.activate();
    await this.sealed();
    this.take();
  }
}

test('the full copy ends with the first checkpoint that covers the hold', async t => {
  const rig = await Rig.start(t);
  await rig.send(CHECKPOINT);
  t.deepEqual(rig.take(), ['full 5 10'], 'its pages may wait, it is not whole');
  await rig.send(HEAD_BYTES);
  t.deepEqual(rig.take(), ['1 pages', 'snapshot 10']);
  await rig.send(REST, HEAD_BYTES, REST, HEAD_BYTES);
  t.deepEqual(rig.take(), ['1 pages', '1 pages'], 'nothing is held yet');
  await rig.begin();
  await rig.send(REST);
  t.is(rig.protection.phase, 'held');
  await rig.send(HEAD_BYTES);
  t.deepEqual(rig.take(), ['1 pages', 'device 040100', 'commit']);
  t.is(rig.protection.phase, 'waiting');
  await rig.send(REST, HEAD_BYTES);
  t.deepEqual(rig.take(), [], 'the backup is no backup before the pair stands');
  t.is(rig.protection.committed(10), 10);
  rig.protection.activate();
  t.deepEqual(rig.take(), ['seal 11', 'begin 11', '1 pages']);
});

test('a copy that ends in the moment of the hold is not believed to cover it', async t => {
  const rig = await Rig.start(t);
  await rig.send(CHECKPOINT, HEAD_BYTES);
  rig.take();
  rig.protection.begin();
  // Written before anybody looks whether something was: the guest may have run on before the hold.
  await rig.send(REST, HEAD_BYTES);
  t.deepEqual(rig.take(), ['1 pages']);
  await rig.send(REST, HEAD_BYTES);
  t.true(rig.take().includes('commit'));
});

test('an epoch is covered by its checkpoint when that goes on after the seal', async t => {
  const rig = await Rig.start(t);
  await rig.protected();
  await rig.send(REST, HEAD_BYTES);
  t.deepEqual(rig.take(), ['1 pages', 'device 040100', 'commit', 'seal 12', 'begin 12']);
  t.is(rig.protection.committed(11), 11);
});

test('an epoch that is sealed late leaves with the next checkpoint', async t => {
  const rig = await Rig.start(t);
  await rig.protected();
  await rig.send(REST, HEAD_BYTES); // Checkpoint 11; the seal of 12 is not answered before checkpoint 12 ends.
  await rig.send(REST, HEAD_BYTES);
  t.deepEqual(rig.take().slice(5), ['1 pages', 'device 040100', 'commit']);
  await rig.send(REST, HEAD_BYTES);
  t.deepEqual(rig.take(), [], 'one seal at a time');
  await rig.sealed();
  t.deepEqual(rig.take(), ['seal 13', 'begin 13', '1 pages']);
  await rig.sealed();
  await rig.send(REST, HEAD_BYTES);
  t.is(rig.protection.committed(12), 11, 'the checkpoint counts, its epoch stays held');
  t.is(rig.protection.committed(13), 13);
});

test('checkpoints that lie ready when they are read cover nothing', async t => {
  const rig = await Rig.start(t);
  await rig.protected();
  await rig.send(REST, HEAD_BYTES, REST, HEAD_BYTES.subarray(0, 5));
  await rig.sealed();
  await rig.send(HEAD_BYTES.subarray(5));
  t.is(rig.protection.committed(12), 11);
});

test('a checkpoint that waits whole in the queue of its sender covers nothing', async t => {
  const page = Buffer.alloc(4096, 5);
  const pages = Array.from({ length: 2_000 }, (_, index) => ({
    ...{ block: 0, page: index, content: page },
  }));
  const [large] = naiveCheckpoints({
    ...GUEST,
    checkpoints: [{ sections: [[], pages], device: Buffer.from([4, 1]) }],
  });
  const rig = await Rig.start(t, false);
  await rig.protected();
  rig.sealsAtOnce();
  // 8 MB, of which a window is delivered: each read finds less than it could take.
  await rig.send(REST, large!, HEAD_BYTES);
  await rig.send(REST, HEAD_BYTES);
  t.is(rig.protection.committed(12), 11);
  t.is(rig.protection.committed(13), 13);
});

test("what is not delivered is read from the kernel's lists, by the ports of both ends", t => {
  const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when';
  const line = (local: string, remote: string, state: string, queues: string) =>
    `   0: 0100007F:${local} 0100007F:${remote} ${state} ${queues} 00:00000000 00000000`;
  const table = [
    head,
    line('1F90', 'A1B2', '01', '00000010:00000000'),
    line('A1B2', '1F90', '01', '000001F4:00000007'),
    line('A1B2', '1F91', '01', '00000100:00000000'),
    line('A1B2', '1F90', '0A', '00000100:00000000'),
  ].join('\n');
  t.is(unsentBytes(0xa1b2, 0x1f90, [table]), 500);
  t.is(unsentBytes(0xa1b2, 0x1f90, [table, table]), 1000);
  t.is(unsentBytes(0x1f90, 0xa1b2, [table]), 16);
  t.is(unsentBytes(1, 2, [table]), undefined);
});

test('at a full window checkpoints are gathered, and then the sender waits', async t => {
  const rig = await Rig.start(t);
  await rig.protected();
  rig.window = false;
  await rig.send(REST, HEAD_BYTES);
  t.deepEqual(rig.take(), ['1 pages', 'device 040100', 'commit']);
  t.is(rig.protection.takenEpoch, 11);
  rig.write(REST, HEAD_BYTES, REST, HEAD_BYTES, REST);
  await until('two pages', () => rig.protection.work.guestWaits === 1);
  t.deepEqual(rig.take(), []);
  rig.window = true;
  rig.protection.windowOpen();
  await turns();
  t.deepEqual(rig.take(), ['seal 12', 'begin 12', '1 pages', '1 pages']);
  t.is(rig.protection.figures.windowClosed, 1);
  await rig.sealed();
  await rig.send(HEAD_BYTES);
  t.deepEqual(rig.take().slice(0, 3), ['1 pages', 'device 040100', 'commit']);
});

test('a connection that is cut in a checkpoint ends with the one before', async t => {
  const rig = await Rig.start(t);
  await rig.protected();
  const done = rig.protection.checkpoint(5_000);
  await rig.send(REST, HEAD_BYTES);
  await rig.sealed();
  await rig.send(REST, HEAD_BYTES);
  rig.protection.committed(12);
  t.is((await done).epoch, 12);
  rig.take();
  await rig.send(REST, HEAD_BYTES.subarray(0, -1));
  rig.cut();
  await until('the loss', () => rig.told.length > 0);
  t.deepEqual(rig.take(), ['CURLING_QEMU_LOST']);
});

test('a sender that falls silent is given up', async t => {
  const rig = await Rig.start(t);
  await rig.send(HEAD_BYTES);
  await until('the end of patience', () => rig.told.length > 1);
  t.deepEqual(rig.take(), ['full 5 10', 'CURLING_TIMEOUT']);
});

test('only a sender on this machine is taken', t => {
  t.true(isHere('127.0.0.1', '127.0.0.1'));
  t.true(isHere('::ffff:127.0.0.2', '::ffff:127.0.0.1'));
  t.true(isHere('::1', '::1'));
  t.true(isHere('10.0.0.1', '10.0.0.1'));
  t.false(isHere('10.0.0.2', '10.0.0.1'));
  t.false(isHere('10.127.0.1', '10.0.0.1'));
  t.false(isHere(undefined, undefined));
});
