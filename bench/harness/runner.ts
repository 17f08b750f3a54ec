/** Runs scenarios one after the other, and keeps what came of them; what cannot run does not stop the others. */
import type { Scenario } from '../scenario.ts';
import { Estimate } from './estimate.ts';
import { type Bench, runExperiment } from './experiment-run.ts';
import type { ExperimentResults, ScenarioResults } from './results.ts';

export interface RunnerEvents {
  /** An experiment ended, in whatever way. */
  onExperiment(experiment: ExperimentResults, scenario: Scenario): void;
}

/** The rounds of an experiment: those asked for, or those it declares. */
export function roundsOf(
  rounds: { full: number; quick: number },
  quick: boolean,
  asked: number | undefined,
): number {
  return asked ?? (quick ? rounds.quick : rounds.full);
}

/** Runs everything; after `bench.signal` is aborted only what has ended or begun is in the results. */
export async function runScenarios(
  scenarios: readonly Scenario[],
  bench: Omit<Bench, 'estimate' | 'rounds'> & { roundsAsked: number | undefined },
  events: RunnerEvents,
): Promise<ScenarioResults[]> {
  const { quick, roundsAsked } = bench;
  const works = scenarios
    .flatMap(scenario => scenario.experiments)
    .map(experiment => ({ experiment, rounds: roundsOf(experiment.rounds, quick, roundsAsked) }));
  const estimate = new Estimate(works, quick);
  const results: ScenarioResults[] = [];
  for (const scenario of scenarios) {
    const { name, title, question } = scenario;
    const ended: ExperimentResults[] = [];
    for (const experiment of scenario.experiments) {
      if (bench.signal.aborted) break;
      estimate.begin();
      const rounds = roundsOf(experiment.rounds, quick, roundsAsked);
      const result = await runExperiment(scenario, experiment, { ...bench, estimate, rounds });
      ended.push(result);
      events.onExperiment(result, scenario);
    }
    if (ended.length > 0) results.push({ name, title, question, experiments: ended });
  }
  return results;
}
