/** The cells of an experiment's table: for each variant and metric its statistics and its ratio to the baseline. */
import type { ExperimentResults, VariantResults } from './results.ts';
import { type Summary, summarise } from './statistics.ts';

export interface Cell extends Summary {
  /** Of the ratios to the baseline's value in the same round; null without any, and for the baseline itself. */
  ratio: Summary | null;
}

/** Variant to metric to cell. What was not measured is not there. */
export type Cells = Record<string, Record<string, Cell>>;

/** The cells of one experiment. */
export function cellsOf(experiment: ExperimentResults): Cells {
  const baseline = experiment.variants.find(variant => variant.id === experiment.baseline);
  const cells: Cells = {};
  for (const variant of experiment.variants) {
    const row: Record<string, Cell> = {};
    for (const { id } of experiment.metrics) {
      const values = variant.runs.map(run => run.values[id]).filter(value => value !== undefined);
      if (values.length === 0) continue;
      const ratios = baseline && baseline !== variant ? ratiosOf(variant, baseline, id) : [];
      const ratio = ratios.length > 0 ? summarise(ratios) : null;
      row[id] = { ...summarise(values), ratio };
    }
    cells[variant.id] = row;
  }
  return cells;
}

/** Value by value of the same round; rounds in which either is missing, or the baseline's is 0, give none. */
function ratiosOf(variant: VariantResults, baseline: VariantResults, metric: string): number[] {
  const bases = new Map(baseline.runs.map(run => [run.round, run.values[metric]]));
  return variant.runs.flatMap(run => {
    const value = run.values[metric];
    const base = bases.get(run.round);
    const ratio = value === undefined || !base ? Number.NaN : value / base;
    return Number.isFinite(ratio) ? [ratio] : [];
  });
}
