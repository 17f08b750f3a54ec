/** What the runs so far measured, for figures that are drawn from several of them. Pure. */
import type { Values } from '../scenario.ts';
import { medianOf } from './samples.ts';

export class Ledger {
  readonly #runs: { experiment: string; variant: string; values: Values }[] = [];

  add(experiment: string, variant: string, values: Values): void {
    this.#runs.push({ experiment, variant, values });
  }

  /** The median over the rounds; undefined when it was not measured. */
  median(experiment: string, variant: string, metric: string): number | undefined {
    const values = this.#runs
      .filter(run => run.experiment === experiment && run.variant === variant)
      .flatMap(run => run.values[metric] ?? []);
    return values.length > 0 ? medianOf(values) : undefined;
  }
}

/** How far curling is ahead of the best of `others`; undefined when either was not measured. */
export function leadOf(ledger: Ledger, experiment: string, others: readonly string[]) {
  const own = (metric: string) => ledger.median(experiment, 'curling', metric);
  const best = (metric: string) => {
    const medians = others.flatMap(other => ledger.median(experiment, other, metric) ?? []);
    return medians.length > 0 ? Math.min(...medians) : undefined;
  };
  const [p50, p90, p99] = [own('p50'), own('p90'), own('p99')];
  const [best50, best90, best99] = [best('p50'), best('p90'), best('p99')];
  if (p50 === undefined || p90 === undefined || p99 === undefined) return undefined;
  if (best50 === undefined || best90 === undefined || best99 === undefined) return undefined;
  return { 'p50-more': p50 - best50, 'p90-lead': best90 / p90, 'p99-lead': best99 / p99 };
}
