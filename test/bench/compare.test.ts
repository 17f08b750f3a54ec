import test from 'ava';
import fc from 'fast-check';
import { compareResults, hasRegressed, stepOf } from '../../bench/harness/compare.ts';
import { parseResults } from '../../bench/harness/read-results.ts';
import {
  type ExperimentResults,
  experimentsOf,
  type Results,
  type ScenarioResults,
} from '../../bench/harness/results.ts';
import { summarise } from '../../bench/harness/statistics.ts';
import { changeText, comparisonText } from '../../bench/report/comparison.ts';
import { experimentOf, resultsOf, runDoubles, SIZE, scenarioOf } from './doubles.ts';

/** A run whose values wobble by `wobble` percent; `factors` change variants. */
function runOf(factors: Record<string, number> = {}, wobble = 1, machine = 1): Promise<Results> {
  const values = (variant: string, call: number) => {
    const noise = 1 + (((call * 7) % 5) - 2) * (wobble / 200);
    const factor = (factors[variant] ?? 1) * machine * noise;
    return { speed: 100 * factor, delay: 40 / factor };
  };
  return runDoubles([scenarioOf(experimentOf(values))]);
}

/** `better hold speed` and so on. */
function words(older: Results, newer: Results): string[] {
  const { moves } = compareResults(older, newer);
  return moves.map(({ word, variant, metric }) => `${word} ${variant} ${metric.id}`);
}

test('the same results never differ', async t => {
  const results = await runOf();
  const comparison = compareResults(results, structuredClone(results));
  t.deepEqual(comparison.moves, []);
  t.is(comparison.compared, 6);
  t.deepEqual(comparison.warnings, []);
});

test('property: whatever was measured, a run compared with itself has not regressed', t => {
  const value = fc.double({ noNaN: true, noDefaultInfinity: true });
  const runs = fc.array(fc.record({ speed: value, delay: value }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(fc.array(runs, { minLength: 3, maxLength: 3 }), lists => {
      const results = resultsOf({ scenarios: [bare(lists)] });
      const comparison = compareResults(results, results);
      return comparison.moves.length === 0 && !hasRegressed(comparison);
    }),
  );
  t.pass();
});

/** A scenario with these values per variant. */
function bare(lists: readonly { speed: number; delay: number }[][]): ScenarioResults {
  const { id, title, about, metrics, variants, baseline } = experimentOf(() => ({}));
  const experiment: ExperimentResults = {
    ...{ id, title, about, metrics: [...metrics], baseline: baseline!, goals: [], axis: null },
    roundsPlanned: 1,
    outcome: 'complete',
    ...{ reason: null, seconds: 1, rounds: [] },
    variants: variants.map((variant, index) => ({
      ...variant,
      ...{ outcome: 'measured' as const, reason: null, errors: [] },
      runs: lists[index]!.map((values, round) => ({ round, seconds: 1, values })),
    })),
  };
  return { name: 'double', title: '', question: '', experiments: [experiment] };
}

test('property: a shift beyond the noise is found, with its direction; one below 5 % never', t => {
  const list = fc.array(fc.double({ min: 0.97, max: 1.03, noNaN: true }), {
    minLength: 5,
    maxLength: 12,
  });
  fc.assert(
    fc.property(list, fc.constantFrom(0.5, 0.7, 1.4, 2), (values, factor) => {
      const step = stepOf(summarise(values), summarise(values.map(value => value * factor)));
      return step !== undefined && Math.sign(step.change) === Math.sign(factor - 1);
    }),
  );
  fc.assert(
    fc.property(list, fc.double({ min: 0.96, max: 1.04, noNaN: true }), (values, factor) => {
      const moved = values.map(value => value * factor);
      return stepOf(summarise(values), summarise(moved)) === undefined;
    }),
  );
  t.pass();
});

test('worse and better follow the direction of the metric', async t => {
  const [older, slower] = [await runOf(), await runOf({ hold: 0.8 })];
  t.deepEqual(words(older, slower), ['worse hold speed', 'worse hold delay']);
  t.deepEqual(words(slower, older), ['better hold speed', 'better hold delay']);
  t.true(hasRegressed(compareResults(older, slower)));
  t.false(hasRegressed(compareResults(slower, older)));
});

test('a slower machine moves the baseline, which is nobody’s regression; ratios stay', async t => {
  const comparison = compareResults(await runOf(), await runOf({}, 1, 0.6));
  t.deepEqual(
    comparison.moves.map(({ word, variant, of }) => [word, variant, of]),
    [
      ['moved', 'bridge', 'value'],
      ['moved', 'bridge', 'value'],
    ],
  );
  t.false(hasRegressed(comparison));
});

test('what the spread explains is no move', async t => {
  t.deepEqual(words(await runOf({}, 60), await runOf({ hold: 0.9 }, 60)), []);
  t.not(words(await runOf(), await runOf({ hold: 0.9 })).length, 0);
});

test('rounds that overlap are no move, however many there are', t => {
  const many = Array.from({ length: 200 }, (_, index) => 80 + (index % 41));
  const shifted = (factor: number) => summarise(many.map(value => value * factor));
  t.is(stepOf(shifted(1), shifted(1.08)), undefined);
  t.not(stepOf(shifted(1), shifted(1.4)), undefined);
});

test('three rounds apart are no move while three rounds may be apart by chance', t => {
  t.is(stepOf(summarise([95, 100, 105]), summarise([103, 108, 113])), undefined);
  t.not(stepOf(summarise([99.9, 100, 100.1]), summarise([107.9, 108, 108.1])), undefined);
});

test('a metric without a direction only moves', async t => {
  const size = (factor: number) =>
    runDoubles([
      scenarioOf(
        experimentOf((_, call) => ({ size: (100 + (call % 3)) * factor }), { metrics: [SIZE] }),
      ),
    ]);
  const [older, newer] = [await size(1), await size(2)];
  t.deepEqual(new Set(words(older, newer)), new Set(['moved bridge size']));
});

test('without a baseline the values count, but not those of different machines', async t => {
  const alone = async (speed: number, cpu = 'Imaginary 9000') => {
    const { baseline: _baseline, ...rest } = experimentOf(() => ({ speed }));
    const results = await runDoubles([scenarioOf(rest)]);
    return { ...results, machine: { ...results.machine, cpu } };
  };
  t.true(hasRegressed(compareResults(await alone(10), await alone(8))));
  const others = compareResults(await alone(10), await alone(8, 'Other'));
  t.false(hasRegressed(others));
  t.is(others.moves.length, 3);
  t.regex(others.warnings[0]!, /^different machines: .*Imaginary 9000.*Other/);
});

test('from nothing to something is a move', t => {
  const step = stepOf(summarise([0, 0, 0]), summarise([1, 1, 1]));
  t.is(step?.change, Number.POSITIVE_INFINITY);
  t.is(changeText(step!.change), 'from 0');
  t.is(changeText(-0.034), '-3.4%');
});

test('quick against full, missing cells and single rounds are said, and are no regression', async t => {
  const full = await runOf();
  const quick = await runDoubles([scenarioOf(experimentOf(() => ({ speed: 1 })))], {
    quick: true,
    roundsAsked: 1,
  });
  const comparison = compareResults(full, quick);
  t.deepEqual(comparison.warnings, ['different loads: full before, quick now']);
  t.deepEqual(comparison.onlyOld.length, 3);
  t.deepEqual(comparison.single.length, 3);
  t.false(hasRegressed(comparison));
  const text = comparisonText(comparison);
  t.regex(text, /only before \(3\): double\/one bridge delay/);
  t.regex(text, /too few rounds to tell \(3\)/);
});

test('the table says what was compared, the worse first, within 100 columns', async t => {
  const text = comparisonText(
    compareResults(await runOf(), await runOf({ hold: 0.8, open: 1.3 }, 1, 0.5)),
  );
  const rows = [...text.matchAll(/^│ (worse|better|moved)/gm)].map(match => match[1]);
  t.deepEqual(rows, ['worse', 'worse', 'better', 'better', 'moved', 'moved']);
  t.regex(text, /hold +│ +ratio to baseline/);
  t.regex(text, /2 worse, 2 better, 2 moved, 0 as before within the noise/);
  t.true(text.split('\n').every(line => line.length <= 100));
});

test('results that went through a file compare as they did before', async t => {
  const [older, newer] = [await runOf(), await runOf({ hold: 0.8 })];
  const read = (results: Results) => parseResults(JSON.stringify(results));
  t.deepEqual(compareResults(read(older), read(newer)), compareResults(older, newer));
  t.is(experimentsOf(read(older)).length, 1);
});
