import test from 'ava';
import { judge } from '../../bench/harness/verdicts.ts';
import type { Goal } from '../../bench/scenario.ts';

const NEVER: Goal = { variant: 'a', metric: 'lost', of: 'value', max: 0 };
/** Eight rounds, one of which lost a frame. */
const ONE_BAD = { n: 8, median: 0, q1: 0, q3: 0, min: 0, max: 1 };

test('a goal of every round is not met when one round does not meet it', t => {
  const summary = ONE_BAD as Parameters<typeof judge>[1];
  t.is(judge(NEVER, summary).word, 'met', 'by its quartiles');
  t.is(judge({ ...NEVER, every: true }, summary).word, 'not met');
  const clean = { ...ONE_BAD, n: 1, max: 0 } as Parameters<typeof judge>[1];
  t.is(judge({ ...NEVER, every: true }, clean).word, 'met', 'one round tells as well');
});
