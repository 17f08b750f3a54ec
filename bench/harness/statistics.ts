/** Figures of small samples: medians and quartiles rather than means, since single runs on a shared machine go astray. */
import assert from 'node:assert/strict';
import { medianAbsoluteDeviation, medianSorted, quantileSorted } from 'simple-statistics';

/** Of one sample. All but `n` are in the unit of the values. */
export interface Summary {
  n: number;
  median: number;
  /** Quartiles; the extremes for samples of up to three values. */
  q1: number;
  q3: number;
  min: number;
  max: number;
  /** The median absolute deviation, unscaled. */
  mad: number;
}

/** Two-sided 95 % points of Student's t, by degrees of freedom from 1; then the normal one. */
const T95 = [12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];
const T95_MANY = 1.96;
/** The standard error of a median is this much larger than that of a mean, for normal values. */
const MEDIAN_FACTOR = 1.2533;
/** Quartile distance of the normal distribution with deviation 1. */
const NORMAL_IQR = 1.349;

/** Summarises at least one finite value. */
export function summarise(values: readonly number[]): Summary {
  assert(values.length > 0 && values.every(Number.isFinite), 'finite values');
  const sorted = values.toSorted((a, b) => a - b);
  return {
    n: sorted.length,
    median: medianSorted(sorted),
    q1: quantileSorted(sorted, 0.25),
    q3: quantileSorted(sorted, 0.75),
    min: sorted[0]!,
    max: sorted.at(-1)!,
    mad: medianAbsoluteDeviation(sorted),
  };
}

/** Half the distance of the quartiles, as a fraction of the median; 0 when they are equal, null when the median is 0. */
export function relativeSpread(summary: Summary): number | null {
  const half = (summary.q3 - summary.q1) / 2;
  if (half === 0) return 0;
  return summary.median === 0 ? null : half / Math.abs(summary.median);
}

/**
 * How far, as a fraction of the median, the true median may be from the one measured (95 %, estimated from the
 * quartiles): null for a single value, or when the median is 0 and the quartiles are not.
 */
export function uncertainty(summary: Summary): number | null {
  const spread = relativeSpread(summary);
  if (summary.n < 2 || spread === null) return null;
  const t = T95[summary.n - 2] ?? T95_MANY;
  return (t * MEDIAN_FACTOR * ((2 * spread) / NORMAL_IQR)) / Math.sqrt(summary.n);
}

/** `(max - min) / median`, in percent; 0 for fewer than two values. */
export function rangePercent(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const { min, max, median } = summarise(values);
  return median === 0 ? 0 : ((max - min) / median) * 100;
}

/** The median, or 0 of nothing. */
export function medianOr0(values: readonly number[]): number {
  return values.length === 0 ? 0 : summarise(values).median;
}
