import test from 'ava';
import fc from 'fast-check';
import { cellsOf } from '../../bench/harness/cells.ts';
import { noiseOf } from '../../bench/harness/noise.ts';
import {
  rangePercent,
  relativeSpread,
  summarise,
  uncertainty,
} from '../../bench/harness/statistics.ts';
import { judge } from '../../bench/harness/verdicts.ts';
import { experimentOf, runExperimentDouble } from './doubles.ts';

test('a summary has the known figures', t => {
  const { n, median, q1, q3, min, max, mad } = summarise([7, 1, 3, 2, 100, 4, 5]);
  t.deepEqual([n, median, q1, q3, min, max, mad], [7, 4, 2.5, 6, 1, 100, 2]);
  const even = summarise([4, 1, 3, 2]);
  t.deepEqual([even.median, even.q1, even.q3], [2.5, 1.75, 3.25]);
  t.throws(() => summarise([]));
  t.throws(() => summarise([1, Number.NaN]));
});

test('the relative spread is half the distance of the quartiles', t => {
  t.is(relativeSpread(summarise([80, 100, 120])), 0.1);
  t.is(relativeSpread(summarise([0, 0, 0])), 0);
  t.is(relativeSpread(summarise([-1, 0, 1])), null);
});

test('the uncertainty has the known figures, and shrinks with more rounds', t => {
  // Student's t of 2 degrees of freedom, the range of 3 values, the median's efficiency.
  const three = uncertainty(summarise([90, 100, 110]), 95)!;
  t.true(Math.abs(three - (4.3 * 1.2533 * (20 / 1.693)) / Math.sqrt(3)) < 1e-9);
  const nine = [90, 90, 90, 100, 100, 100, 110, 110, 110];
  t.true(uncertainty(summarise(nine), 95)! < three / 2);
  t.true(uncertainty(summarise(nine), 99)! > uncertainty(summarise(nine), 95)!);
  t.is(uncertainty(summarise([5]), 95), null);
  t.is(uncertainty(summarise([5, 5, 5]), 95), 0);
});

test('a single value that went astray does not look like certainty', t => {
  const astray = summarise([100, 100, 100, 100, 150]);
  t.is(relativeSpread(astray), 0);
  t.true(uncertainty(astray, 95)! > 20);
});

test('ratios are those of the same round, whatever the machine does in between', async t => {
  const speeds = [100, 100, 100, 10, 10, 10, 50, 50, 50];
  const share: Record<string, number> = { bridge: 1, open: 1, hold: 0.5 };
  const experiment = experimentOf((variant, call) => ({ speed: speeds[call]! * share[variant]! }));
  const cells = cellsOf(await runExperimentDouble(experiment, { roundsAsked: 3 }));
  const { ratio } = cells.hold!.speed!;
  t.deepEqual([ratio!.n, ratio!.median, ratio!.min, ratio!.max], [3, 0.5, 0.5, 0.5]);
  t.true(cells.hold!.speed!.max > 5 * cells.hold!.speed!.min);
  t.is(cells.bridge!.speed!.ratio, null);
});

test('a baseline of 0, or without a value, gives no ratio', async t => {
  let round = 0;
  const experiment = experimentOf(variant => {
    if (variant !== 'bridge') return { speed: 3 };
    round += 1;
    return [{ speed: 0 }, {}, { speed: 6 }][round - 1]!;
  });
  const { ratio } = cellsOf(await runExperimentDouble(experiment, { roundsAsked: 3 })).open!.speed!;
  t.deepEqual([ratio!.n, ratio!.median], [1, 0.5]);
});

const GOAL = { variant: 'hold', metric: 'speed', of: 'ratio', min: 0.65 } as const;

test('a goal is met or not when both quartiles say so, else it cannot be told', t => {
  t.is(judge(GOAL, summarise([0.65, 0.7, 0.7])).word, 'met');
  t.is(judge(GOAL, summarise([0.5, 0.64, 0.6])).word, 'not met');
  t.is(judge(GOAL, summarise([0.5, 0.7, 0.7])).word, 'cannot tell');
  t.is(judge(GOAL, summarise([0.9])).reason, 'only one round');
  t.is(judge(GOAL, null).word, 'cannot tell');
  t.is(judge({ ...GOAL, max: 1 }, summarise([1.1, 1.2, 1.3])).word, 'not met');
  t.is(judge({ ...GOAL, max: 1 }, summarise([0.1, 0.8, 1.3])).word, 'cannot tell');
  t.is(judge({ ...GOAL, of: 'value', min: 0, max: 0 }, summarise([0, 0])).word, 'met');
});

test('property: the verdict turns with the direction of the goal', t => {
  const values = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 2 });
  fc.assert(
    fc.property(values, fc.double({ min: -100, max: 100, noNaN: true }), (list, bound) => {
      const { min: _min, ...goal } = GOAL;
      const up = judge({ ...goal, min: bound }, summarise(list)).word;
      const mirrored = list.map(value => -value);
      const down = judge({ ...goal, max: -bound }, summarise(mirrored)).word;
      return up === down;
    }),
  );
  t.pass();
});

test('noise: a steady baseline on a quiet machine can tell, an unsteady one warns', async t => {
  const calm = experimentOf((_variant, call) => ({ speed: 100 + (call % 2) * 0.1 }));
  const quiet = await runExperimentDouble(calm);
  const noise = noiseOf(quiet, cellsOf(quiet));
  t.deepEqual(noise.warnings, []);
  t.true(noise.tellsPercent.speed! < 1);
  const wild = experimentOf((_variant, call) => ({ speed: 100 + (call % 5) * 20 }));
  const loud = await runExperimentDouble(wild);
  for (const [index, round] of loud.rounds.entries())
    Object.assign(round, { stealPercent: 9, foreignPercent: 12, probeSpinMs: 20 + index * 5 });
  const { warnings, tellsPercent } = noiseOf(loud, cellsOf(loud));
  t.true(tellsPercent.speed! > 20);
  t.is(warnings.length, 4, warnings.join('\n'));
  t.is(rangePercent([20, 25, 30]), 40);
});
