import test from 'ava';
import fc from 'fast-check';
import { CheckpointSchedule, type ScheduleOptions } from '../../coordinator/schedule.ts';

/** One checkpoint: decided, stopped, sealed, resumed after `pauseMs`, asked for again at once. */
function take(schedule: CheckpointSchedule, now: number, pauseMs: number, epoch: number): void {
  schedule.stopped(now);
  schedule.sealed(epoch);
  schedule.resumed(now + pauseMs);
  schedule.requested();
}

test('output that waits starts a checkpoint at once', t => {
  const schedule = new CheckpointSchedule(0);
  schedule.requested();
  t.deepEqual(schedule.decide(10), { takeNow: false, reason: 'idle', nextAskAt: 1_000 });
  schedule.outputPending(1);
  t.is(schedule.decide(11).reason, 'output');
  t.is(schedule.decide(11).reason, 'checkpoint');
  take(schedule, 12, 2, 1);
  t.is(schedule.decide(14).reason, 'idle');
  t.is(schedule.counters.output, 1);
});

test('nothing starts before QEMU asked, or while too much is in flight', t => {
  const schedule = new CheckpointSchedule(0);
  schedule.outputPending(1);
  t.is(schedule.decide(1).reason, 'request');
  schedule.requested();
  schedule.inFlight(true);
  t.is(schedule.decide(2).reason, 'in-flight');
  t.is(schedule.decide(3).nextAskAt, Number.POSITIVE_INFINITY);
  schedule.inFlight(false);
  t.true(schedule.decide(4).takeNow);
  t.is(schedule.counters.outputWaitedForRequest, 1);
  t.is(schedule.counters.outputWaitedForInFlight, 1);
});

test('a late word about a sealed epoch starts nothing', t => {
  const schedule = new CheckpointSchedule(0);
  schedule.requested();
  schedule.sealed(3);
  schedule.outputPending(3);
  t.is(schedule.decide(1).reason, 'idle');
  schedule.outputPending(4);
  t.is(schedule.decide(1).reason, 'output');
});

test('without output a checkpoint comes at the longest interval', t => {
  const schedule = new CheckpointSchedule(0);
  schedule.requested();
  t.false(schedule.decide(999).takeNow);
  t.is(schedule.decide(1_000).reason, 'deadline');
});

/** What a schedule says at each of these times to a guest that has worked so long since it last ran on. */
function told(schedule: CheckpointSchedule, worked: readonly (readonly [number, number])[]) {
  return worked.map(([now, workedMs]) => {
    const { takeNow, reason, nextAskAt } = schedule.decide(now, () => workedMs);
    return takeNow ? reason : nextAskAt;
  });
}

test('a guest that says nothing and does next to nothing is given longer, and no longer than said', t => {
  const schedule = new CheckpointSchedule(0, { idleIntervalMaxMs: 3_500 });
  schedule.requested();
  const looks = [999, 1_000, 1_500, 2_000, 3_000, 3_500].map(now => [now, 20] as const);
  t.deepEqual(told(schedule, looks), [1_000, 2_000, 2_000, 3_000, 3_500, 'deadline']);
  t.is(schedule.counters.idlePutOffs, 3);
  take(schedule, 3_500, 2, 1);
  t.is(schedule.decide(3_600).nextAskAt, 4_502, 'and again from the beginning');
});

test('one that works, speaks or is unknown is given no more than the longest interval', t => {
  const idle = { idleIntervalMaxMs: 10_000 };
  const busy = new CheckpointSchedule(0, idle);
  busy.requested();
  t.deepEqual(told(busy, [[1_000, 100] as const, [2_000, 101] as const]), [2_000, 'deadline']);
  const speaks = new CheckpointSchedule(0, idle);
  speaks.requested();
  t.deepEqual(told(speaks, [[1_000, 0]]), [2_000]);
  speaks.outputPending(1);
  t.is(speaks.decide(1_001, () => 0).reason, 'deadline', 'at once, whatever the budget');
  const unknown = new CheckpointSchedule(0, idle);
  unknown.requested();
  t.is(unknown.decide(1_000).reason, 'deadline');
  const usual = new CheckpointSchedule(0);
  usual.requested();
  t.deepEqual(told(usual, [[1_000, 0]]), ['deadline'], 'it is an option');
});

test('a spent budget makes output wait, and says until when', t => {
  const schedule = new CheckpointSchedule(0);
  schedule.requested();
  schedule.outputPending(1);
  t.true(schedule.decide(0).takeNow);
  take(schedule, 0, 60, 1);
  schedule.outputPending(2);
  const waiting = schedule.decide(60);
  t.is(waiting.reason, 'budget');
  t.true(waiting.nextAskAt > 60);
  t.false(schedule.decide(waiting.nextAskAt - 1).takeNow);
  t.is(schedule.decide(waiting.nextAskAt).reason, 'output');
  t.is(schedule.counters.outputWaitedForBudget, 1);
});

test('a pause of an idle guest costs two fifths of its length, and of a busy one all of it', t => {
  const askedAt = [0, 0.2, 0.7, 1].map(workShare => {
    const schedule = new CheckpointSchedule(0);
    schedule.requested();
    schedule.outputPending(1);
    t.true(schedule.decide(0).takeNow);
    schedule.stopped(0);
    schedule.sealed(1);
    schedule.resumed(50, workShare);
    schedule.requested();
    schedule.outputPending(2);
    const { reason, nextAskAt } = schedule.decide(50);
    t.is(reason, 'budget');
    t.is(schedule.decide(nextAskAt).reason, 'output');
    return nextAskAt - 50;
  });
  // The pause and a bucket for the next one: 12.5 ms, which flow in at 0.175 a millisecond.
  const waits = [0.4, 0.4, 0.7, 1].map(cost => (50 * cost) / 0.175);
  for (const [index, wait] of waits.entries()) t.true(Math.abs(askedAt[index]! - wait) < 1e-6);
});

test('one long pause does not slow output down for many times its length', t => {
  const schedule = new CheckpointSchedule(0, { intervalMaxMs: 60_000 });
  schedule.requested();
  schedule.outputPending(1);
  t.true(schedule.decide(0).takeNow);
  take(schedule, 0, 3_000, 1);
  schedule.outputPending(2);
  const { reason, nextAskAt } = schedule.decide(3_000);
  t.is(reason, 'budget');
  // The budget of one window and a full bucket, at the rate at which it flows in.
  t.true(nextAskAt <= 3_000 + (100 + 12.5) / 0.175 + 1);
  t.is(schedule.decide(nextAskAt).reason, 'output');
});

test('mode fixed starts by the clock, whatever waits', t => {
  const schedule = new CheckpointSchedule(0, { mode: 'fixed', intervalMs: 20 });
  schedule.requested();
  schedule.outputPending(1);
  t.deepEqual(schedule.decide(5), { takeNow: false, reason: 'idle', nextAskAt: 20 });
  t.is(schedule.decide(20).reason, 'interval');
  take(schedule, 20, 3, 1);
  t.is(schedule.decide(39).reason, 'idle');
  t.is(schedule.decide(40).reason, 'interval');
});

test('a hint starts a checkpoint without output, once, and only one that has not begun', t => {
  const schedule = new CheckpointSchedule(0);
  schedule.requested();
  schedule.hint();
  schedule.hint();
  t.is(schedule.decide(5).reason, 'hint');
  schedule.stopped(5);
  schedule.hint();
  schedule.sealed(1);
  schedule.resumed(6);
  schedule.requested();
  t.is(schedule.decide(7).reason, 'hint', 'the one that had begun did not answer the third');
  take(schedule, 7, 1, 2);
  t.is(schedule.decide(9).reason, 'idle');
  t.is(schedule.counters.hint, 2);
});

test('a checkpoint for another reason serves a hint too', t => {
  const schedule = new CheckpointSchedule(0);
  schedule.requested();
  schedule.hint();
  schedule.outputPending(1);
  t.is(schedule.decide(1).reason, 'output');
  take(schedule, 1, 1, 1);
  t.is(schedule.decide(3).reason, 'idle');
  t.is(schedule.counters.hint, 0);
});

test('in either mode a hint waits for the budget, and no longer than for the next checkpoint', t => {
  const interval = { mode: 'fixed', intervalMs: 200 } as const;
  for (const options of [{}, interval]) {
    const schedule = new CheckpointSchedule(0, options);
    schedule.requested();
    schedule.hint();
    t.is(schedule.decide(0).reason, 'hint');
    take(schedule, 0, 60, 1);
    schedule.hint();
    const waiting = schedule.decide(60);
    t.is(waiting.reason, 'budget');
    const last = options === interval ? 200 : 1_060;
    t.true(waiting.nextAskAt > 60 && waiting.nextAskAt <= last);
    t.true(schedule.decide(waiting.nextAskAt).takeNow);
  }
  const slow = new CheckpointSchedule(0, { mode: 'fixed', intervalMs: 60_000 });
  slow.requested();
  slow.hint();
  t.is(slow.decide(1).reason, 'hint', 'not a minute later');
});

test('options and calls that make no sense are refused', t => {
  t.throws(() => new CheckpointSchedule(0, { pauseShareMax: 0 }));
  t.throws(() => new CheckpointSchedule(0, { intervalMaxMs: 100, windowMs: 500 }));
  t.throws(() => new CheckpointSchedule(0).resumed(1));
});

interface Pause {
  from: number;
  to: number;
}

/**
 * A guest that always has output to say again after `thinkMs`; pauses as given, one after the
 * other.
 */
function drive(options: ScheduleOptions, load: readonly (readonly [number, number])[]): Pause[] {
  const schedule = new CheckpointSchedule(0, options);
  const pauses: Pause[] = [];
  let now = 0;
  schedule.requested();
  for (const [epoch, [thinkMs, pauseMs]] of load.entries()) {
    now += thinkMs;
    schedule.outputPending(epoch);
    for (let asked = 0; asked < 50; asked++) {
      const decision = schedule.decide(now);
      if (decision.takeNow) break;
      now = decision.nextAskAt;
    }
    pauses.push({ from: now, to: now + pauseMs });
    take(schedule, now, pauseMs, epoch);
    now += pauseMs;
  }
  return pauses;
}

/**
 * The most that the guest was stopped in any window; it is reached in one that ends with a pause.
 */
function stoppedMsMax(pauses: readonly Pause[], windowMs: number): number {
  const ends = pauses.map(pause => pause.to);
  const starts = pauses.map(pause => pause.from + windowMs);
  return Math.max(
    ...[...ends, ...starts].map(end => {
      const begin = end - windowMs;
      const inside = pauses.map(p => Math.min(p.to, end) - Math.max(p.from, begin));
      return inside.filter(ms => ms > 0).reduce((sum, ms) => sum + ms, 0);
    }),
  );
}

const anyLoad = fc.array(
  fc.tuple(
    fc.oneof(fc.constant(0), fc.double({ min: 0, max: 400, noNaN: true })),
    fc.oneof(
      fc.double({ min: 0.1, max: 8, noNaN: true }),
      fc.double({ min: 0.1, max: 300, noNaN: true }),
    ),
  ),
  { minLength: 1, maxLength: 120 },
);
const anyOptions = fc.record({
  pauseShareMax: fc.double({ min: 0.05, max: 1, noNaN: true }),
  windowMs: fc.integer({ min: 50, max: 1_000 }),
});

test('no window holds more pause than its budget and one pause, however pauses grow', t => {
  fc.assert(
    fc.property(anyOptions, anyLoad, (options, load) => {
      const pauses = drive(options, load);
      const longest = Math.max(...pauses.map(pause => pause.to - pause.from));
      const bound = options.pauseShareMax * options.windowMs + longest + 1e-3;
      const stopped = stoppedMsMax(pauses, options.windowMs);
      t.true(stopped <= bound, `${stopped} ms stopped, allowed ${bound}`);
    }),
    { numRuns: 400 },
  );
});

test('a steady load gets most of its budget', t => {
  const pauses = drive({}, Array(2_000).fill([0, 3] as const));
  const elapsed = pauses.at(-1)?.to ?? 0;
  const share = (pauses.length * 3) / elapsed;
  t.true(share > 0.17 && share <= 0.2, `${share}`);
});

/**
 * Ten seconds of a guest that says something, or is asked for a checkpoint, `perSecond` times a second. It is asked again
 * 0.3 ms after it runs on, as by QEMU, and works all the time. The times at which checkpoints began.
 */
function flood(perSecond: number, pauseMs: number, kind: 'output' | 'hint'): number[] {
  const schedule = new CheckpointSchedule(0);
  const beganAt: number[] = [];
  const everyMs = 1_000 / perSecond;
  const endMs = 10_000;
  let saidUntil = 0;
  const say = (now: number) => {
    // All that came since the last look is one word: the proxy tells the first frame of an epoch.
    const came = Math.floor(now / everyMs) > Math.floor(saidUntil / everyMs);
    saidUntil = now;
    if (!came) return;
    if (kind === 'output') schedule.outputPending(beganAt.length);
    else schedule.hint();
  };
  schedule.requested();
  for (let now = 0; now < endMs; ) {
    say(now);
    const { takeNow, nextAskAt } = schedule.decide(now);
    if (takeNow) {
      take(schedule, now, pauseMs, beganAt.length);
      beganAt.push(now);
      saidUntil = now + pauseMs; // a stopped guest says nothing
      now += pauseMs + 0.3;
    } else now = Math.min(nextAskAt, Math.floor(now / everyMs + 1) * everyMs + 1e-6);
  }
  return beganAt;
}

for (const kind of ['output', 'hint'] as const) {
  test(`a flood of ${kind} is no flood of checkpoints: the budget bounds them, at any rate`, t => {
    for (const pauseMs of [0.5, 2, 8]) {
      const counts = [1_000, 10_000, 100_000].map(rate => flood(rate, pauseMs, kind));
      for (const beganAt of counts) {
        // A second's budget is 200 ms; two of its windows may each overrun by one pause.
        const inSecond = (from: number) =>
          beganAt.filter(at => at >= from && at < from + 1_000).length;
        const most = Math.max(...beganAt.map(inSecond));
        t.true(most <= 200 / pauseMs + 2, `${most} in a second, of ${pauseMs} ms`);
        t.true(beganAt.length > (0.15 * 10_000) / pauseMs, 'and the budget is used');
      }
      const [slow, , fast] = counts;
      t.true(fast!.length <= slow!.length * 1.1, 'a hundred times the output is no more of them');
    }
  });
}

test('output never waits while there is budget', t => {
  const load = fc.array(fc.double({ min: 0.1, max: 5, noNaN: true }), { maxLength: 60 });
  fc.assert(
    fc.property(load, pausesMs => {
      const schedule = new CheckpointSchedule(0);
      let now = 0;
      for (const [epoch, pauseMs] of pausesMs.entries()) {
        schedule.requested();
        schedule.outputPending(epoch);
        // Rested long enough to have earned the largest of these pauses back, at 17.5 % of the
        // time.
        t.is(schedule.decide(now).reason, 'output');
        take(schedule, now, pauseMs, epoch);
        now += pauseMs + 2 * (5 / 0.175);
      }
    }),
    { numRuns: 100 },
  );
});
