/** `--list`: what there is to run. */
import { declaredSeconds, durationText } from '../harness/estimate.ts';
import { roundsOf } from '../harness/runner.ts';
import type { Experiment, Scenario } from '../scenario.ts';
import { wrap } from './text.ts';

const COLUMNS = 100;

/** Scenarios, their questions and experiments, each with the time that it is guessed to take. */
export function listText(
  scenarios: readonly Scenario[],
  quick: boolean,
  rounds: number | undefined,
): string {
  const seconds = (experiment: Experiment) =>
    declaredSeconds({ experiment, rounds: roundsOf(experiment.rounds, quick, rounds) }, quick);
  let total = 0;
  const lines: string[] = [];
  for (const { name, title, question, experiments } of scenarios) {
    const each = experiments.map(seconds);
    const sum = each.reduce((a, b) => a + b, 0);
    total += sum;
    lines.push(`${name}: ${title} (${durationText(sum)})`);
    lines.push(...wrap(question, COLUMNS - 2).map(line => `  ${line}`));
    for (const [index, { id, title: what, variants }] of experiments.entries()) {
      const facts = `${variants.length} variants, ${durationText(each[index]!)}`;
      lines.push(`  ${id}: ${what} (${facts})`);
    }
    lines.push('');
  }
  const form = quick ? 'quick' : 'full';
  return [...lines, `all, ${form}: ${durationText(total)}`, ''].join('\n');
}
