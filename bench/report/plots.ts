/** What is drawn of an experiment: lines over a quantity, or bars. Pure: results in, figures out. */
import type { Cells } from '../harness/cells.ts';
import type { ExperimentResults } from '../harness/results.ts';
import type { Goal, Metric, Unit, Variant } from '../scenario.ts';

/** A median with its quartiles. */
export interface Point {
  median: number;
  q1: number;
  q3: number;
}

export interface LinePlot {
  metric: Metric;
  axis: { title: string; unit: Unit; logarithmic: boolean };
  series: { name: string; points: (Point & { x: number })[] }[];
  /** Variants without an x: a level across the plot. */
  levels: { name: string; value: number }[];
}

export interface Bar extends Point {
  name: string;
  baseline: boolean;
  /** Bounds of its goals, in the unit of the metric. */
  bounds: number[];
}

/** A variant that has no bar, and the word why. */
export interface NoBar {
  name: string;
  why: string;
}

export interface BarPlot {
  metric: Metric;
  bars: (Bar | NoBar)[];
}

const LEVELS_MAX = 4;
const WHY = {
  measured: 'not measured',
  'not-runnable': 'cannot run',
  failed: 'failed',
  'not-reached': 'not reached',
} as const;

/** Whether the variants are mostly steps of a quantity: two or more different ones, and few without. */
export function isLinear(variants: readonly Variant[]): boolean {
  const steps = new Set(variants.map(({ x }) => x).filter(x => x !== undefined));
  const others = variants.filter(({ x }) => x === undefined).length;
  return steps.size >= 2 && others <= LEVELS_MAX;
}

/** One plot per metric that was measured. */
export function linePlots(experiment: ExperimentResults, cells: Cells): LinePlot[] {
  const { metrics, variants, axis } = experiment;
  const { title, unit, logarithmic = false } = axis ?? { title: '', unit: '' as const };
  return metrics.flatMap(metric => {
    const series = new Map<string, LinePlot['series'][number]['points']>();
    const levels: LinePlot['levels'] = [];
    for (const variant of variants) {
      const cell = cells[variant.id]?.[metric.id];
      if (!cell) continue;
      const { median, q1, q3 } = cell;
      if (variant.x === undefined) {
        levels.push({ name: variant.title, value: median });
        continue;
      }
      const name = variant.series ?? '';
      series.set(name, [...(series.get(name) ?? []), { x: variant.x, median, q1, q3 }]);
    }
    if (series.size === 0) return [];
    const sorted = [...series].map(([name, points]) => ({
      name: name || metric.title,
      points: points.toSorted((a, b) => a.x - b.x),
    }));
    return [{ metric, axis: { title, unit, logarithmic }, series: sorted, levels }];
  });
}

/** One plot per metric that was measured. */
export function barPlots(experiment: ExperimentResults, cells: Cells): BarPlot[] {
  const { metrics, variants, baseline, goals } = experiment;
  return metrics.flatMap(metric => {
    const base = baseline === null ? undefined : cells[baseline]?.[metric.id]?.median;
    const bars = variants.map((variant): Bar | NoBar => {
      const cell = cells[variant.id]?.[metric.id];
      if (!cell) return { name: variant.title, why: WHY[variant.outcome] };
      const own = goals.filter(goal => goal.variant === variant.id && goal.metric === metric.id);
      const { median, q1, q3 } = cell;
      const bounds = own.flatMap(goal => boundsOf(goal, base));
      const isBase = variant.id === baseline;
      return { name: variant.title, baseline: isBase, median, q1, q3, bounds };
    });
    return bars.some(bar => 'median' in bar) ? [{ metric, bars }] : [];
  });
}

function boundsOf(goal: Goal, base: number | undefined): number[] {
  const factor = goal.of === 'value' ? 1 : base;
  if (factor === undefined) return [];
  return [goal.min, goal.max].flatMap(bound => (bound === undefined ? [] : [bound * factor]));
}
