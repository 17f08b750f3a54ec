/** Round-trip times by label, as percentiles. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

export interface Percentiles {
  count: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

/**
 * Invariant: `total` counts what all labels count together. Labels are few: the caller chooses
 * them.
 */
export class RoundTrips {
  readonly #total = createHistogram();
  readonly #labels = new Map<string, RecordableHistogram>();

  add(label: string, ms: number): void {
    const us = Math.max(1, Math.round(ms * 1000));
    const histogram = this.#labels.get(label) ?? createHistogram();
    this.#labels.set(label, histogram);
    histogram.record(us);
    this.#total.record(us);
  }

  total(): Percentiles {
    return percentiles(this.#total);
  }

  labels(): Record<string, Percentiles> {
    return Object.fromEntries([...this.#labels].map(([label, each]) => [label, percentiles(each)]));
  }
}

function percentiles(histogram: RecordableHistogram): Percentiles {
  if (histogram.count === 0) return { count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 };
  return {
    count: histogram.count,
    p50Ms: histogram.percentile(50) / 1000,
    p99Ms: histogram.percentile(99) / 1000,
    maxMs: histogram.max / 1000,
  };
}
