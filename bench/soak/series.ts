/**
 * Samples of one quantity over a run of any length in bounded memory: when it is full, every second sample is dropped, and
 * from then on only every second one is taken. Pure.
 *
 * Invariant: at most `samplesMax` samples, in order of time, evenly thinned.
 */
import assert from 'node:assert/strict';
import { linearRegression, median } from 'simple-statistics';

export interface Sample {
  /** Seconds since the beginning of the run. */
  atS: number;
  value: number;
}

export class Series {
  readonly #samplesMax: number;
  #samples: Sample[] = [];
  #stride = 1;
  #seen = 0;

  constructor(samplesMax = 4_096) {
    assert(samplesMax >= 4 && samplesMax % 2 === 0, 'an even number of samples, at least four');
    this.#samplesMax = samplesMax;
  }

  add(atS: number, value: number): void {
    if (this.#seen++ % this.#stride !== 0) return;
    this.#samples.push({ atS, value });
    if (this.#samples.length < this.#samplesMax) return;
    this.#samples = this.#samples.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  get max(): number {
    return Math.max(0, ...this.#samples.map(({ value }) => value));
  }
}

/** How a quantity went. */
export interface Trend {
  /** Median of the first third of what is judged. */
  first: number;
  /** Median of the last third. */
  last: number;
  /** Of the line through all that is judged, per hour. */
  slopePerHour: number;
  samples: number;
}

/** Samples that a trend needs: fewer say nothing. */
const SAMPLES_MIN = 30;

/** The trend of the samples from `fromS` on; undefined when there are too few. */
export function trendOf(samples: readonly Sample[], fromS: number): Trend | undefined {
  const judged = samples.filter(({ atS }) => atS >= fromS);
  if (judged.length < SAMPLES_MIN) return undefined;
  const third = Math.floor(judged.length / 3);
  const values = judged.map(({ value }) => value);
  const { m } = linearRegression(judged.map(({ atS, value }) => [atS, value]));
  return {
    first: median(values.slice(0, third)),
    last: median(values.slice(-third)),
    slopePerHour: m * 3_600,
    samples: judged.length,
  };
}

/** Whether the last third is above the first by more than `share` of it and by more than `slack`. */
export function grows({ first, last }: Trend, share: number, slack: number): boolean {
  return last > first * (1 + share) && last > first + slack;
}
