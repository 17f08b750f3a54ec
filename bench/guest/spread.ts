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
  return {
    p50: percentile(sorted, 0.5),
    ...(sorted.length >= ENOUGH.p90 ? { p90: percentile(sorted, 0.9) } : {}),
    ...(sorted.length >= ENOUGH.p99 ? { p99: percentile(sorted, 0.99) } : {}),
    max: sorted.at(-1)!,
  };
}
