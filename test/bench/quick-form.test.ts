import test from 'ava';
import { quickForm } from '../../bench/harness/quick-form.ts';
import type { Experiment, Scenario } from '../../bench/scenario.ts';

const experiment: Experiment = {
  id: 'one/first',
  title: 'first',
  about: 'about',
  metrics: [{ id: 'speed', title: 'speed', unit: '', better: 'higher' }],
  variants: [
    { id: 'a', title: 'a' },
    { id: 'b', title: 'b', fullOnly: true },
    { id: 'c', title: 'c' },
  ],
  baseline: 'a',
  goals: [
    { variant: 'b', metric: 'speed', of: 'ratio', min: 1 },
    { variant: 'c', metric: 'speed', of: 'ratio', min: 1 },
  ],
  rounds: { full: 2, quick: 1 },
  seconds: { open: 0, run: 1, quickRun: 1 },
  run: async () => ({ speed: 1 }),
};

test('the quick form does without what is for the full one alone', t => {
  const fullOnly = { ...experiment, id: 'one/second', rounds: { full: 2, quick: 0 } };
  const scenarios: Scenario[] = [
    { name: 'one', title: 'one', question: '?', experiments: [experiment, fullOnly] },
    { name: 'two', title: 'two', question: '?', experiments: [fullOnly] },
  ];
  const quick = quickForm(scenarios);
  t.deepEqual(
    quick.map(({ name }) => name),
    ['one'],
  );
  const left = quick[0]!.experiments;
  t.deepEqual(
    left.map(({ id }) => id),
    ['one/first'],
  );
  t.deepEqual(
    left[0]!.variants.map(({ id }) => id),
    ['a', 'c'],
  );
  t.deepEqual(
    left[0]!.goals!.map(({ variant }) => variant),
    ['c'],
  );
  t.is(left[0]!.run, experiment.run);
});
