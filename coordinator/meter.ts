/** Durations and sizes of many checkpoints in constant memory, through Node's own histogram (three digits). */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { Durations } from './status.ts';

const US_PER_MS = 1000;

export class Meter {
  readonly #histogram: RecordableHistogram = createHistogram({ figures: 3 });

  /** Counts one duration, milliseconds; a negative one counts as none. */
  recordMs(ms: number): void {
    this.#histogram.record(Math.max(1, Math.round(ms * US_PER_MS)));
  }

  /** Counts one size or number, 1 or more. */
  record(value: number): void {
    this.#histogram.record(Math.max(1, Math.round(value)));
  }

  /** The value that half of all recorded ones do not exceed; 0 when nothing was recorded. */
  get median(): number {
    return this.#histogram.count === 0 ? 0 : this.#histogram.percentile(50);
  }

  durations(): Durations {
    const histogram = this.#histogram;
    if (histogram.count === 0) return { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };
    const ms = (percentile: number) => histogram.percentile(percentile) / US_PER_MS;
    return {
      count: histogram.count,
      p50: ms(50),
      p90: ms(90),
      p99: ms(99),
      max: histogram.max / US_PER_MS,
    };
  }

  reset(): void {
    this.#histogram.reset();
  }
}
