/** What is said about a sample of times, and when it is too small to say it. Pure. */

/** How many samples a percentile must stand on: below, it would only repeat the maximum. */
const ENOUGH = { p90: 10, p99: 50 } as const;

/** The value that a share of all does not exceed, by nearest rank; `sorted` rises and is not empty. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/**
 * `p50`, `p90`, `p99`, `max` of a sample, in its unit; each is left out when the sample is too small for it.
 */
export function spread(values: readonly number[]): Record<string, number> {
  if (values.length === 0) return {};
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => percentile(sorted, share);
  return trusted({
    ...{ count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: sorted.at(-1)! },
  });
}

/** Percentiles that somebody else has counted, without those for which there were too few. */
export function trusted(all: {
  count: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}): Record<string, number> {
  const { count, p50, p90, p99, max } = all;
  if (count === 0) return {};
  return {
    p50,
    ...(count >= ENOUGH.p90 ? { p90 } : {}),
    ...(count >= ENOUGH.p99 ? { p99 } : {}),
    max,
  };
}

/** `name-p50`, … of percentiles, but only those that are wanted. */
export function named(
  name: string,
  from: Readonly<Record<string, number>>,
  wanted: readonly string[],
): Record<string, number> {
  const entries = wanted.filter(key => from[key] !== undefined);
  return Object.fromEntries(entries.map(key => [`${name}-${key}`, from[key]!]));
}

/** Of at least one value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return Number.isInteger(middle)
    ? (sorted[middle - 1]! + sorted[middle]!) / 2
    : sorted[Math.floor(middle)]!;
}
