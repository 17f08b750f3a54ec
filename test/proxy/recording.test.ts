import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import pino from 'pino';
import { run } from '../../common/run.ts';
import { FrameRecord } from '../../proxy/frame-record.ts';
import { SystemClock } from '../../proxy/moment.ts';
import { NativeMemory } from '../../proxy/native-memory.ts';
import { RecordRing } from '../../proxy/record-ring.ts';
import { Recording, type RecordingOptions } from '../../proxy/recording.ts';
import { VNET_HEADER_BYTES } from '../../proxy/vlan-tag.ts';
import { readPcapng } from './pcapng-reader.ts';

const TAPS = [
  { name: 'tap0', bridge: 'br0' },
  { name: 'tap1', bridge: 'br1' },
];
const MIB = 2 ** 20;
const TRIES_MAX = 10_000;

/** A recording, the datapath's side of it, and the log that it writes. */
class Bench {
  readonly file: string;
  readonly lines: Record<string, unknown>[] = [];
  readonly recording: Recording;
  readonly #records: FrameRecord[];
  readonly #frame = new NativeMemory(70_000);

  constructor(t: ExecutionContext, options: Partial<RecordingOptions> = {}) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-record-'));
    this.file = options.file ?? path.join(folder, 'out.pcapng');
    const log = pino({}, { write: (line: string) => this.lines.push(JSON.parse(line)) });
    const all = { file: this.file, bytesMax: 64 * MIB, snapBytes: 2000, taps: TAPS, ...options };
    this.recording = Recording.start(all, log);
    const { memory, snapBytes } = this.recording.setup;
    const ring = new RecordRing(memory);
    const clock = new SystemClock();
    this.#records = TAPS.map((_, tap) => new FrameRecord(ring, tap, snapBytes, clock));
    t.teardown(async () => {
      await this.recording.close();
      clock.close();
      this.#frame.unmap();
      fs.rmSync(folder, { recursive: true, force: true });
    });
  }

  /** Lets one batch leave through a tap: frames of `length` bytes, numbered from `first`. */
  leave(
    tap: number,
    epoch: number,
    first: number,
    count: number,
    length = 60,
    header = [0, 0],
  ): void {
    const record = this.#records[tap]!;
    record.begin(epoch);
    for (let number = first; number < first + count; number++) {
      this.#frame.bytes.fill(number, VNET_HEADER_BYTES, VNET_HEADER_BYTES + length);
      this.#frame.bytes.set(header);
      record.add(this.#frame.address, VNET_HEADER_BYTES + length);
    }
    record.publish();
  }

  read() {
    return readPcapng(fs.readFileSync(this.file));
  }

  levels(): unknown[] {
    return this.lines.map(line => line.level);
  }
}

function untouched(t: ExecutionContext, bench: Bench): void {
  bench.leave(0, 1, 0, 5);
  const expected = { framesRecorded: 0, framesUnrecorded: 5, bytesRecorded: 0, recordFailures: 1 };
  t.deepEqual(bench.recording.counters, expected);
  t.is(bench.recording.status.state, 'failed');
  t.deepEqual(bench.levels(), [50]);
}

test('frames of two taps are recorded in one order, with epochs, times, kinds and lengths', async t => {
  const bench = new Bench(t);
  const before = BigInt(Date.now()) * 1_000_000n;
  bench.leave(0, 7, 0, 2);
  bench.leave(1, 7, 2, 1, 61, [1, 0]);
  bench.leave(0, 8, 3, 1, 65_000, [1, 1]);
  bench.leave(0, 2 ** 52, 4, 1, 2000, [0, 5]);
  await bench.recording.close();
  const { packets, statistics, tailBytes, interfaces } = bench.read();
  t.deepEqual(interfaces[1], { name: 'tap1', about: 'released to br1', snapBytes: 2000 });
  t.deepEqual(
    packets.map(({ interface: tap, comment, frameBytes, flags }) => [
      tap,
      comment,
      frameBytes,
      flags,
    ]),
    [
      [0, 'epoch 7', 60, 0x002],
      [0, 'epoch 7', 60, 0x002],
      [1, 'epoch 7', 61, 0x202],
      [0, 'epoch 8', 65_000, 0xa02],
      [0, `epoch ${2 ** 52}`, 2000, 0x802],
    ],
  );
  for (const [number, { bytes, frameBytes, missing }] of packets.entries()) {
    t.true(bytes.subarray(2).every(byte => byte === number));
    t.is(bytes.length, Math.min(frameBytes, 2000));
    t.is(missing, 0);
  }
  const times = packets.map(({ atNs }) => atNs);
  t.deepEqual(
    times,
    times.toSorted((one, other) => Number(one - other)),
  );
  t.true(times[0]! >= before && times[4]! <= BigInt(Date.now() + 1) * 1_000_000n);
  t.deepEqual(statistics, [
    { interface: 0, frames: 4, missing: 0, delivered: 4 },
    { interface: 1, frames: 1, missing: 0, delivered: 1 },
  ]);
  t.is(tailBytes, 0);
  t.is(bench.recording.counters.bytesRecorded, fs.statSync(bench.file).size);
  t.is(fs.statSync(bench.file).mode & 0o7777, 0o600);
  t.is(bench.recording.status.state, 'closed');
});

test('what the disk is too slow for is counted, and the next frame says how many are missing', async t => {
  const bench = new Bench(t, { ringBytes: 4000 });
  // Nothing is written before this turn is over: the ring is all that there is.
  bench.leave(0, 1, 0, 50);
  const { framesUnrecorded } = bench.recording.counters;
  t.true(framesUnrecorded > 0 && framesUnrecorded < 50);
  const written = () => bench.recording.counters.framesRecorded === 50 - framesUnrecorded;
  for (let tries = 0; tries < TRIES_MAX && !written(); tries++) await sleep(1);
  t.true(written());
  bench.leave(0, 2, 50, 2);
  await bench.recording.close();
  const { packets, statistics } = bench.read();
  t.deepEqual(
    packets.map(({ bytes }) => bytes[5]),
    [...Array.from({ length: 50 - framesUnrecorded }, (_, index) => index), 50, 51],
  );
  const said = packets.map(({ missing }) => missing);
  t.deepEqual(said.slice(-2), [framesUnrecorded, 0]);
  t.true(said.slice(0, -2).every(missing => missing === 0));
  const recorded = 52 - framesUnrecorded;
  t.deepEqual(statistics[0], {
    interface: 0,
    frames: 52,
    missing: framesUnrecorded,
    delivered: recorded,
  });
  t.is(bench.recording.counters.framesUnrecorded, framesUnrecorded);
});

test('at its bound the recording ends: whole, no longer than it may be, said once, and the rest is counted', async t => {
  const bench = new Bench(t, { bytesMax: MIB });
  let left = 0;
  for (; left < 100 * TRIES_MAX && bench.recording.status.state === 'on'; left += 100) {
    bench.leave(left % 200 === 0 ? 0 : 1, 1 + left, left, 100, 1514);
    await sleep(1);
  }
  await bench.recording.close();
  bench.leave(1, 9, 0, 50);
  const size = fs.statSync(bench.file).size;
  t.true(size <= MIB && size > MIB - 1700);
  const { packets, statistics, tailBytes } = bench.read();
  t.is(tailBytes, 0);
  const { framesRecorded, framesUnrecorded, bytesRecorded } = bench.recording.counters;
  t.is(packets.length, framesRecorded);
  t.is(statistics[0]!.delivered + statistics[1]!.delivered, framesRecorded);
  t.is(framesRecorded + framesUnrecorded, left + 50);
  t.is(bytesRecorded, size);
  t.is(bench.recording.status.state, 'full');
  t.deepEqual(bench.levels(), [30, 40]);
});

test('a file with something in it is never touched', async t => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'curling-record-')), 'old');
  t.teardown(() => fs.rmSync(path.dirname(file), { recursive: true }));
  fs.writeFileSync(file, 'x', { mode: 0o644 });
  const bench = new Bench(t, { file });
  await bench.recording.close();
  untouched(t, bench);
  t.is(fs.readFileSync(file, 'utf8'), 'x');
  t.is(fs.statSync(file).mode & 0o777, 0o644);
});

test('an empty file is used, and only we may read it then', async t => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'curling-record-')), 'new');
  t.teardown(() => fs.rmSync(path.dirname(file), { recursive: true }));
  fs.writeFileSync(file, '', { mode: 0o644 });
  const bench = new Bench(t, { file });
  bench.leave(0, 1, 0, 1);
  await bench.recording.close();
  t.is(bench.read().packets.length, 1);
  t.is(fs.statSync(file).mode & 0o777, 0o600);
});

for (const [what, make] of [
  ['a link', (file: string) => fs.symlinkSync(`${file}-elsewhere`, file)],
  ['a folder', (file: string) => fs.mkdirSync(file)],
  ['a fifo that nobody reads', (file: string) => run('mkfifo', [file])],
  ['nothing in a folder that is not there', (file: string) => fs.rmdirSync(path.dirname(file))],
] as const) {
  test(`${what} is no file to record in: said once, and the proxy goes on`, async t => {
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'curling-record-')), 'file');
    t.teardown(() => fs.rmSync(path.dirname(file), { recursive: true, force: true }));
    await make(file);
    const bench = new Bench(t, { file });
    await bench.recording.close();
    untouched(t, bench);
    t.false(fs.existsSync(`${file}-elsewhere`));
  });
}
