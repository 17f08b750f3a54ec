/** What the runs so far measured, for figures that are drawn from several of them. Pure. */
import type { Values } from '../scenario.ts';
import { medianOf } from './samples.ts';

export class Ledger {
  readonly #runs: { experiment: string; variant: string; values: Values }[] = [];

  add(experiment: string, variant: string, values: Values): void {
    this.#runs.push({ experiment, variant, values });
  }

  /** The values of all rounds so far. */
  valuesOf(experiment: string, variant: string, metric: string): number[] {
    return this.#runs
      .filter(run => run.experiment === experiment && run.variant === variant)
      .flatMap(run => run.values[metric] ?? []);
  }
}

export interface Lead {
  'p50-more': number;
  'p90-lead': number;
  'p99-lead': number;
}

/**
 * How far curling is ahead of `others` in one round, from 0: at each percentile of the one whose
 * median over all rounds is the best there. Undefined when either was not measured.
 */
export function leadOf(
  ledger: Ledger,
  experiment: string,
  others: readonly string[],
  round: number,
): Lead | undefined {
  const pair = (metric: string) => {
    const own = ledger.valuesOf(experiment, 'curling', metric)[round];
    const measured = others
      .map(other => ledger.valuesOf(experiment, other, metric))
      .filter(values => values.length > round)
      .sort((a, b) => medianOf(a) - medianOf(b));
    const best = measured[0]?.[round];
    return own === undefined || best === undefined ? undefined : { own, best };
  };
  const [p50, p90, p99] = [pair('p50'), pair('p90'), pair('p99')];
  if (!p50 || !p90 || !p99) return undefined;
  return {
    'p50-more': p50.own - p50.best,
    'p90-lead': p90.best / p90.own,
    'p99-lead': p99.best / p99.own,
  };
}
