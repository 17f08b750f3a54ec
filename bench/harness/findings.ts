/** Everything that is computed from what an experiment measured. */
import { type Cells, cellsOf } from './cells.ts';
import { type Noise, noiseOf } from './noise.ts';
import type { ExperimentResults, Results } from './results.ts';
import { type Verdict, verdictsOf } from './verdicts.ts';

export interface Findings {
  statistics: Cells;
  noise: Noise;
  verdicts: Verdict[];
}

/** Pure: the same results give the same findings. */
export function findingsOf(experiment: ExperimentResults): Findings {
  const statistics = cellsOf(experiment);
  return {
    statistics,
    noise: noiseOf(experiment, statistics),
    verdicts: verdictsOf(experiment, statistics),
  };
}

/** The text of results.json: the results with the findings of each experiment beside its values. */
export function resultsText(results: Results): string {
  const scenarios = results.scenarios.map(scenario => ({
    ...scenario,
    experiments: scenario.experiments.map(experiment => ({
      ...experiment,
      ...findingsOf(experiment),
    })),
  }));
  return `${JSON.stringify({ ...results, scenarios }, null, 1)}\n`;
}
