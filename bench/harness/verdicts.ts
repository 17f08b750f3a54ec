/** Whether goals are met. */
import type { Goal } from '../scenario.ts';
import type { Cells } from './cells.ts';
import type { ExperimentResults } from './results.ts';
import type { Summary } from './statistics.ts';

export type VerdictWord = 'met' | 'not met' | 'cannot tell';

export interface Verdict extends Goal {
  word: VerdictWord;
  /** The median that was compared; null when there is none. */
  median: number | null;
  /** Why it cannot be told; null when it can. */
  reason: string | null;
}

/**
 * A goal is met when the median and both quartiles of the rounds meet it, not met when the quartiles lie beyond a bound;
 * with anything between, a single round, or none, it cannot be told. A goal of every round is not met when one does not
 * meet it.
 */
export function judge(goal: Goal, summary: Summary | null | undefined): Verdict {
  const missing = { ...goal, word: 'cannot tell', median: null } as const;
  if (!summary) {
    const what = goal.of === 'ratio' ? 'no ratio was measured' : 'it was not measured';
    return { ...missing, reason: what };
  }
  const { n, median, q1, q3, min, max } = summary;
  if (goal.every) {
    const word = meets(goal, min) && meets(goal, max) ? 'met' : 'not met';
    return { ...goal, word, median, reason: null };
  }
  if (n < 2) return { ...missing, median, reason: 'only one round' };
  const results = [q1, median, q3].map(value => meets(goal, value));
  if (results.every(Boolean)) return { ...goal, word: 'met', median, reason: null };
  // With both bounds the quartiles may lie on either side of the allowed range.
  const outside =
    (goal.min !== undefined && q3 < goal.min) || (goal.max !== undefined && q1 > goal.max);
  if (outside) return { ...goal, word: 'not met', median, reason: null };
  return { ...missing, median, reason: 'the rounds lie on both sides of the bound' };
}

function meets(goal: Goal, value: number): boolean {
  return (
    (goal.min === undefined || value >= goal.min) && (goal.max === undefined || value <= goal.max)
  );
}

/** The verdicts on all goals of an experiment, in their order. */
export function verdictsOf(experiment: ExperimentResults, cells: Cells): Verdict[] {
  return experiment.goals.map(goal => {
    const cell = cells[goal.variant]?.[goal.metric];
    const verdict = judge(goal, goal.of === 'ratio' ? cell?.ratio : cell);
    const variant = experiment.variants.find(({ id }) => id === goal.variant);
    if (cell || !variant?.reason) return verdict;
    return { ...verdict, reason: `it ${OUTCOME_TEXT[variant.outcome]}` };
  });
}

const OUTCOME_TEXT = {
  measured: 'was measured without this metric',
  'not-runnable': 'cannot run here',
  failed: 'failed',
  'not-reached': 'was not reached',
} as const;
