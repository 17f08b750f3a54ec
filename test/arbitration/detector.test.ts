import test from 'ava';
import fc from 'fast-check';
import { FailureDetector } from '../../coordinator/arbitration/detector.ts';

/** Asks as a diligent shell does, up to `until`. */
function watch(detector: FailureDetector, from: number, until: number): number | undefined {
  for (let now = from; now <= until; now = detector.nextCheckAt()) {
    if (detector.verdict(now) !== 'trusted') return now;
  }
  return undefined;
}

test('a peer that beats is trusted, a silent one suspected after the limit', t => {
  const detector = new FailureDetector(0);
  for (let now = 50; now <= 5_000; now += 50) {
    detector.heard(now);
    t.is(detector.verdict(now), 'trusted');
  }
  t.is(watch(detector, detector.nextCheckAt(), 10_000), 5_300);
});

test('a closed connection is a suspicion at once, and stays one', t => {
  const detector = new FailureDetector(0);
  detector.closed();
  t.is(detector.verdict(1), 'closed');
  detector.heard(2);
  t.is(detector.verdict(2), 'closed');
});

test('after a pause of its own the peer gets two beats before it is blamed', t => {
  const detector = new FailureDetector(0);
  t.is(detector.verdict(50), 'trusted');
  // Stopped for ten seconds; the timer runs before the sockets are read.
  t.is(detector.verdict(10_050), 'trusted');
  t.is(detector.ownPauses, 1);
  t.is(detector.ownPauseMsMax, 10_000);
  detector.heard(10_051);
  t.is(detector.verdict(10_150), 'trusted');
  t.is(watch(detector, 10_200, 20_000), 10_351);
});

test('a peer that died during the pause is suspected two beats after it', t => {
  const detector = new FailureDetector(0);
  t.is(detector.verdict(50), 'trusted');
  t.is(watch(detector, 10_050, 20_000), 10_150);
});

test('a process that is always late still suspects a dead peer', t => {
  const detector = new FailureDetector(0);
  let now = 0;
  for (let turn = 0; turn < 10 && detector.verdict(now) === 'trusted'; turn++) now += 1_000;
  t.is(detector.verdict(now), 'silent');
  t.true(now <= 5_000);
});

test('limits that make no sense are refused', t => {
  t.throws(() => new FailureDetector(0, { silenceMs: 100, beatMs: 50 }));
});

test('a peer heard in every beat is never suspected, however this process is delayed', t => {
  const delays = fc.array(fc.integer({ min: 0, max: 2_000 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(delays, waits => {
      const detector = new FailureDetector(0);
      let now = 0;
      for (const wait of waits) {
        // The loop wakes late, runs the timer first, then reads what the peer sent meanwhile.
        now = Math.max(now, detector.nextCheckAt()) + wait;
        t.is(detector.verdict(now), 'trusted');
        detector.heard(now);
      }
    }),
    { numRuns: 200 },
  );
});
