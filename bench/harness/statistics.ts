/** Figures of small samples: medians and quartiles rather than means, since single runs on a shared machine go astray. */
import assert from 'node:assert/strict';
import { medianAbsoluteDeviation, medianSorted, quantileSorted } from 'simple-statistics';

/** Of one sample. All but `n` are in the unit of the values. */
export interface Summary {
  n: number;
  median: number;
  /** Quartiles, interpolated between the values next to them. */
  q1: number;
  q3: number;
  min: number;
  max: number;
  /** The median absolute deviation, unscaled. */
  mad: number;
}

/** Two-sided points of Student's t by degrees of freedom from 1, and the normal one for more. */
const STUDENT = {
  95: { few: [12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26], many: 1.96 },
  99: { few: [63.66, 9.92, 5.84, 4.6, 4.03, 3.71, 3.5, 3.36, 3.25], many: 2.58 },
} as const;
export type Confidence = keyof typeof STUDENT;
/** The standard error of a median is this much larger than that of a mean, for normal values. */
const MEDIAN_FACTOR = 1.2533;
/** Quartile distance of the normal distribution with deviation 1. */
const NORMAL_IQR = 1.349;
/** Mean range of 2 to 10 normal values with deviation 1 (the d2 of quality control). */
const NORMAL_RANGE = [1.128, 1.693, 2.059, 2.326, 2.534, 2.704, 2.847, 2.97, 3.078];

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
 * How far the true median may be from the one measured, in the unit of the values; null for a single value.
 * The quartiles of up to ten values look closer than they are, so their range has a say too.
 */
export function uncertainty(summary: Summary, confidence: Confidence): number | null {
  const { n, q1, q3, min, max } = summary;
  if (n < 2) return null;
  const fromRange = (max - min) / (NORMAL_RANGE[n - 2] ?? Number.POSITIVE_INFINITY);
  const deviation = Math.max((q3 - q1) / NORMAL_IQR, fromRange);
  const { few, many } = STUDENT[confidence];
  return ((few[n - 2] ?? many) * MEDIAN_FACTOR * deviation) / Math.sqrt(n);
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
