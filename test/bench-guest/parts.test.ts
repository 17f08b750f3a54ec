/** What the guest scenarios compute of what they measured. */
import test from 'ava';
import fc from 'fast-check';
import { unlessAborted } from '../../bench/guest/abort.ts';
import { cpuNs, cpuPerSecond, roleOf } from '../../bench/guest/cpu.ts';
import { decoding, randomCheckpoint } from '../../bench/guest/decoder-speed.ts';
import { killValues } from '../../bench/guest/failover-rig.ts';
import { ramBytes } from '../../bench/guest/guest-rig.ts';
import { Keeper, made } from '../../bench/guest/keeper.ts';
import { modeTitle, scheduleFlags } from '../../bench/guest/mode.ts';
import type { Trips } from '../../bench/guest/probe.ts';
import { median, named, percentile, spread, trusted } from '../../bench/guest/spread.ts';
import { together } from '../../bench/scenarios/growth.ts';
import { durationMs, tripValues } from '../../bench/scenarios/round-trip.ts';
import { workLine, workOf } from '../../bench/scenarios/slowdown.ts';
import { checkpointValues, transferValues } from '../../bench/scenarios/throughput.ts';
import type { CoordinatorStatus, FailoverRecord } from '../../coordinator/status.ts';

const TRIPS: Trips = {
  ...{ sent: 4, received: 3, skipped: 1, wrong: 0, lost: '' },
  ...{ silenceUs: 250_500, silenceAtUs: 0, tripsUs: [3_000, 1_000, 2_000] },
};

test('a percentile is the smallest value that so many do not exceed', t => {
  fc.assert(
    fc.property(
      fc.array(fc.integer(), { minLength: 1, maxLength: 300 }),
      fc.constantFrom(0.01, 0.5, 0.9, 0.99, 1),
      (values, share) => {
        const sorted = values.toSorted((a, b) => a - b);
        const value = percentile(sorted, share);
        const upTo = (bound: number) => sorted.filter(each => each <= bound).length;
        return (
          upTo(value) >= share * sorted.length - 1e-9 &&
          sorted.filter(each => each < value).length < share * sorted.length
        );
      },
    ),
  );
  t.pass();
});

test('a small sample has no high percentiles', t => {
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
  t.deepEqual(spread([]), {});
  t.deepEqual(spread([7]), { p50: 7, max: 7 });
  t.deepEqual(spread(upTo(10).reverse()), { p50: 5, p90: 9, max: 10 });
  t.deepEqual(spread(upTo(100)), { p50: 50, p90: 90, p99: 99, max: 100 });
  const all = { p50: 1, p90: 2, p99: 3, max: 4 };
  t.deepEqual(trusted({ count: 0, ...all }), {});
  t.deepEqual(trusted({ count: 49, ...all }), { p50: 1, p90: 2, max: 4 });
  t.deepEqual(named('x', { p50: 1, max: 4 }, ['p50', 'p99']), { 'x-p50': 1 });
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 3]), 2.5);
});

test('round trips are told in milliseconds, with what was never answered', t => {
  t.deepEqual(tripValues(TRIPS), { p50: 2, max: 3, answered: 60, wrong: 0 });
  t.throws(() => tripValues({ ...TRIPS, lost: 'reset' }), { message: /reset/ });
  t.is(tripValues({ ...TRIPS, sent: 0, skipped: 0, received: 0, tripsUs: [] }).answered, 0);
  t.true(durationMs(1, true) > 1_000, 'more than one message at the lowest rate');
});

test('a transfer is a rate in Gbit/s', t => {
  t.deepEqual(transferValues({ bytes: 125_000_000, us: 1_000_000 }), { rate: 1 });
  t.deepEqual(transferValues({ bytes: 1, us: 0 }), { rate: 0 });
});

test('checkpoints are counted only where there are any', t => {
  const status = (isProtected: boolean, taken: number, count: number) =>
    ({
      protected: isProtected,
      epoch: { taken },
      checkpoint: { pauseMs: { count, p50: 4, p90: 5, p99: 6, max: 7 } },
    }) as CoordinatorStatus;
  t.deepEqual(checkpointValues(status(true, 10, 1), status(true, 30, 21), 2), {
    checkpoints: 10,
    'pause-p50': 4,
  });
  t.deepEqual(checkpointValues(status(false, 10, 0), status(false, 10, 0), 2), {});
});

test('work is the same amount of computing at every dirty rate', t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 50, max: 5_000 }),
      fc.integer({ min: 10_000, max: 1_000_000 }),
      fc.integer({ min: 1, max: 50_000 }),
      (ms, roundsPerMs, rate) => {
        const { steps, rounds, writes } = workOf(ms, roundsPerMs, rate);
        const whole = workOf(ms, roundsPerMs, 0);
        const off = Math.abs(steps * rounds - whole.rounds) / whole.rounds;
        return writes && !whole.writes && steps >= 1 && off < 0.05;
      },
    ),
  );
  t.is(workLine(workOf(1_000, 1_000, 10)), '10 100000');
  t.is(workLine(workOf(1_000, 1_000, 0)), '1 1000000 cpu');
});

test('a kill is told from the kill on; a frame that never came has no time', t => {
  const record = {
    ...{ at: new Date(1_300).toISOString(), decisionMs: 5, resumeMs: 40 },
  } as FailoverRecord;
  const values = killValues({ atMs: 1_000, record, firstFrameMs: 1_360.5, trips: TRIPS });
  t.like(values, { detection: 300, decision: 5, resume: 40, 'first-frame': 360.5, gap: 250.5 });
  t.like(values, { unanswered: 1, 'connections-lost': 0 });
  const lost = { ...TRIPS, lost: 'reset' };
  const without = killValues({ atMs: 1_000, record, firstFrameMs: undefined, trips: lost });
  t.is(without['first-frame'], Number.NaN);
  t.is(without['connections-lost'], 1);
});

test('several machines are told as their median, of what all of them have', t => {
  t.deepEqual(together([{ a: 1, b: 2 }, { a: 3 }, { a: 8, b: 0 }]), { a: 3 });
  t.deepEqual(together([]), {});
});

test('modes are options of the coordinator', t => {
  t.deepEqual(scheduleFlags('output'), []);
  t.deepEqual(scheduleFlags('fixed-25'), ['--fixed-interval', '25']);
  const titles = (['unprotected', 'output', 'fixed-25', 'fixed-100'] as const).map(modeTitle);
  t.is(new Set(titles).size, titles.length);
});

test('memory of a guest is never a multiple of what TCG cannot watch', t => {
  for (const mebibytes of [128, 512, 1024, 2048]) t.not(ramBytes(mebibytes) % (256 << 10), 0);
  t.is(ramBytes(128), 134_209_536);
});

test('processes of a host are told apart by their command lines', t => {
  const line = (...words: string[]) => words.map(word => `${word}\0`).join('');
  t.is(roleOf(line('qemu-system-x86_64', '-nodefaults')), 'qemu');
  t.is(roleOf(line('/usr/bin/node', '/x/build/proxy/main.js', '--tap', 'tap0')), 'proxy');
  t.is(roleOf(line('node', '/x/build/coordinator/main.js')), 'coordinator');
  t.is(roleOf(line('node', '/x/build/witness/main.js')), undefined);
  t.is(roleOf(''), undefined);
});

test('processor time is counted, and told per second', t => {
  const before = cpuNs(process.pid);
  t.true(before > 0);
  t.true(cpuNs(process.pid) >= before);
  t.is(cpuNs(2 ** 30), 0);
  const none = { coordinator: 0, proxy: 0, qemu: 0 };
  const used = { coordinator: 100, proxy: 20, qemu: 2_000 };
  t.deepEqual(cpuPerSecond(none, used, 2), { coordinator: 50, proxy: 10, qemu: 1_000 });
});

test('the decoder is given what it decodes in earnest', t => {
  const { take, staging, checkpoints } = decoding();
  const checkpoint = randomCheckpoint();
  take(checkpoint);
  take(checkpoint);
  t.is(checkpoints(), 2);
  t.is(staging.counters.dataPages, 2 * 2048);
  t.is(staging.lentChunks, 0);
});

test('what is given up is not waited for', async t => {
  const controller = new AbortController();
  t.is(await unlessAborted(controller.signal, Promise.resolve(1)), 1);
  const never = unlessAborted(controller.signal, new Promise(() => {}));
  controller.abort(new Error('enough'));
  await t.throwsAsync(never, { message: 'enough' });
  await t.throwsAsync(unlessAborted(controller.signal, Promise.resolve(1)), { message: 'enough' });
});

test('what is kept is made anew after a run that failed, and closed each time', async t => {
  const told: string[] = [];
  let count = 0;
  const keeper = new Keeper(async () => {
    const name = `rig ${++count}`;
    told.push(`${name} made`);
    return { name, close: async () => void told.push(`${name} closed`) };
  });
  const { signal } = new AbortController();
  const name = (rig: { name: string }) => Promise.resolve(rig.name);
  t.is((await keeper.open(signal)).name, 'rig 1');
  t.is(await keeper.use(signal, name), 'rig 1');
  const fail = keeper.use(signal, () => Promise.reject(new Error('it broke')));
  await t.throwsAsync(fail, { message: 'it broke' });
  t.is(await keeper.use(signal, name), 'rig 2');
  await keeper.close();
  await keeper.close();
  t.deepEqual(told, ['rig 1 made', 'rig 1 closed', 'rig 2 made', 'rig 2 closed']);
  const thing = { close: async () => void told.push('thing closed') };
  await t.throwsAsync(
    made(thing, () => Promise.reject(new Error('no'))),
    { message: 'no' },
  );
  t.is(told.at(-1), 'thing closed');
  t.is(await made(thing, async () => 1), 1);
});
