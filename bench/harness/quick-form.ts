/** The short form of scenarios: without the experiments and variants that are for the full one alone. */
import type { Experiment, Scenario } from '../scenario.ts';

/** Scenarios of which nothing is left are left out. */
export function quickForm(scenarios: readonly Scenario[]): Scenario[] {
  return scenarios
    .map(scenario => ({
      ...scenario,
      experiments: scenario.experiments.filter(({ rounds }) => rounds.quick > 0).map(shortened),
    }))
    .filter(({ experiments }) => experiments.length > 0);
}

function shortened(experiment: Experiment): Experiment {
  const variants = experiment.variants.filter(({ fullOnly }) => !fullOnly);
  const { goals = [] } = experiment;
  const reachable = goals.filter(goal => variants.some(({ id }) => id === goal.variant));
  return { ...experiment, variants, goals: reachable };
}
