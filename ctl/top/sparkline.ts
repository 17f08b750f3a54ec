/** A row of bars, one for each value. Pure. */

const BARS = '▁▂▃▄▅▆▇█';

/**
 * The last `width` values as bars from 0 to the largest of them; a blank where there was none, and in front of the first.
 */
export function sparkline(values: readonly (number | null)[], width: number): string {
  const last = values.slice(-width);
  const max = Math.max(0, ...last.map(value => value ?? 0));
  const bars = last.map(value => {
    if (value === null) return ' ';
    const step = max === 0 ? 0 : Math.ceil((value / max) * BARS.length) - 1;
    return BARS[Math.max(0, step)]!;
  });
  return bars.join('').padStart(width);
}
