/** Figures as text, the same in every report. */

import { relativeSpread, type Summary } from '../harness/statistics.ts';
import type { Goal, Metric, Unit } from '../scenario.ts';

const DIGITS = 3;
/** Between groups of three digits: no comma, which half of the world reads as a point. */
const GROUP = '\u202f';

/** Three significant digits, or all digits of larger numbers, grouped. */
export function numberText(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 999.5)
    return Math.round(value)
      .toString()
      .replace(/\B(?=(\d{3})+$)/g, GROUP);
  if (size < 0.001) return value.toExponential(1);
  return value.toPrecision(DIGITS);
}

/** With its unit, as `12.3 ms` or `0.98x`. */
export function valueText(value: number, unit: Unit): string {
  if (unit === 'x') return `${numberText(value)}x`;
  return unit === '' ? numberText(value) : `${numberText(value)} ${unit}`;
}

/**
 * Half the distance of the quartiles, as `±2%`; as a plain number when the median is 0; empty for one value and for
 * nothing but zeros.
 */
export function spreadText(summary: Summary): string {
  if (summary.n < 2 || (summary.min === 0 && summary.max === 0)) return '';
  const spread = relativeSpread(summary);
  if (spread === null) return `±${numberText((summary.q3 - summary.q1) / 2)}`;
  const percent = spread * 100;
  return `±${percent < 10 ? percent.toFixed(1).replace(/\.0$/, '') : percent.toFixed(0)}%`;
}

/** `≥ 0.65x`, `≤ 30 us`, `0.9x to 1.1x`. */
export function goalText(goal: Goal, metric: Metric | undefined): string {
  const unit = goal.of === 'ratio' ? 'x' : (metric?.unit ?? '');
  // As the goal was written, not rounded.
  const text = (bound: number) => (unit === 'x' ? `${bound}x` : `${bound} ${unit}`.trim());
  const { min, max } = goal;
  if (min !== undefined && max !== undefined) return `${text(min)} to ${text(max)}`;
  return min !== undefined ? `≥ ${text(min)}` : `≤ ${text(max ?? 0)}`;
}

export const MARKS = { met: '✓', 'not met': '✗', 'cannot tell': '?' } as const;

/** `TCP out (Gbit/s)`. */
export function metricTitle(metric: Metric): string {
  return metric.unit === '' ? metric.title : `${metric.title} (${metric.unit})`;
}

/** What an experiment can tell: `TCP out 3 %, frames 12 %`; undefined when rounds are too few. */
export function tellsText(
  metrics: readonly Metric[],
  tells: Readonly<Record<string, number>>,
): string | undefined {
  const parts = metrics.flatMap(({ id, title }) => {
    const percent = tells[id];
    return percent === undefined ? [] : `${title} ${percentText(percent)}`;
  });
  return parts.length > 0 ? parts.join(', ') : undefined;
}

function percentText(percent: number): string {
  return percent < 1 ? '1 %' : `${Math.ceil(percent)} %`;
}

/** `higher is better`. */
export function betterText(metric: Metric): string {
  return metric.better === 'neither' ? '' : `${metric.better} is better`;
}
