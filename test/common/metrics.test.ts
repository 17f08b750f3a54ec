import test from 'ava';
import { loopDelays } from '../../common/metrics.ts';

test('an event loop that is never late has no delay, although it is looked at only now and then', t => {
  let resets = 0;
  const seen = new Map([
    [50, 100.2e6],
    [99, 99.9e6],
    [100, 400e6],
  ]);
  const delay = {
    count: 3,
    percentile: (percentile: number) => seen.get(percentile)!,
    reset: () => resets++,
  };
  const told = Object.fromEntries(
    loopDelays(delay).map(([{ percentile }, seconds]) => [percentile, Math.round(seconds * 1e4)]),
  );
  t.deepEqual(told, { 50: 2, 99: 0, 100: 3_000 });
  t.deepEqual(loopDelays({ ...delay, count: 0 }), []);
  t.is(resets, 2);
});
