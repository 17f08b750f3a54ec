/**
 * What moved between two runs. A cell moved when three things are true: its median changed by at least 5 %, the
 * quartiles of the two runs do not overlap, and the change is beyond what both runs' spreads explain (99 %).
 *
 * Ratios to the baseline are compared where both runs have them, because the machine's own speed drifts; absolute values
 * elsewhere. Two things move without ever being a regression: a baseline (it is not curling's; the machine moved), and
 * absolute values of two different machines.
 */
import type { Metric } from '../scenario.ts';
import { type Cell, cellsOf } from './cells.ts';
import { type ExperimentResults, experimentsOf, type Results } from './results.ts';
import { type Summary, uncertainty } from './statistics.ts';

const CHANGE_MIN = 0.05;
/** High, because a benchmark has hundreds of cells, and a false alarm in each comparison would be ignored soon. */
const CONFIDENCE = 99;

export type MoveWord = 'better' | 'worse' | 'moved';

export interface Move {
  experiment: string;
  variant: string;
  metric: Metric;
  of: 'ratio' | 'value';
  old: number;
  new: number;
  /** `new / old - 1`; infinite from 0. */
  change: number;
  /** What the spread of both runs explains, as a fraction. */
  noise: number;
  /** `moved`: the metric has no direction, or nobody is to blame. */
  word: MoveWord;
}

export interface Comparison {
  warnings: string[];
  moves: Move[];
  /** Cells that both runs have with two rounds or more, and that were compared. */
  compared: number;
  /** Cells of single rounds, which cannot be told from noise. */
  single: string[];
  /** `EXPERIMENT VARIANT METRIC` of cells of one run alone. */
  onlyOld: string[];
  onlyNew: string[];
}

/** Whether something got worse. */
export function hasRegressed(comparison: Comparison): boolean {
  return comparison.moves.some(({ word }) => word === 'worse');
}

interface NamedCell {
  experiment: ExperimentResults;
  variant: string;
  metric: Metric;
  cell: Cell;
}

/** Pure. */
export function compareResults(older: Results, newer: Results): Comparison {
  const [olds, news] = [namedCells(older), namedCells(newer)];
  const sameMachine = machineKey(older) === machineKey(newer);
  const comparison: Comparison = {
    warnings: warningsOf(older, newer, sameMachine),
    ...{ moves: [], compared: 0, single: [] },
    onlyOld: [...olds.keys()].filter(key => !news.has(key)),
    onlyNew: [...news.keys()].filter(key => !olds.has(key)),
  };
  for (const [key, now] of news) {
    const before = olds.get(key);
    if (!before) continue;
    if (before.cell.n < 2 || now.cell.n < 2) {
      comparison.single.push(key);
      continue;
    }
    comparison.compared += 1;
    const move = moveOf(before, now, sameMachine);
    if (move) comparison.moves.push(move);
  }
  return comparison;
}

function namedCells(results: Results): Map<string, NamedCell> {
  const cells = new Map<string, NamedCell>();
  for (const experiment of experimentsOf(results)) {
    for (const [variant, row] of Object.entries(cellsOf(experiment))) {
      for (const metric of experiment.metrics) {
        const cell = row[metric.id];
        const key = `${experiment.id} ${variant} ${metric.id}`;
        if (cell) cells.set(key, { experiment, variant, metric, cell });
      }
    }
  }
  return cells;
}

function moveOf(before: NamedCell, now: NamedCell, sameMachine: boolean): Move | undefined {
  const [oldRatio, newRatio] = [before.cell.ratio, now.cell.ratio];
  const ratios = oldRatio && newRatio && oldRatio.n >= 2 && newRatio.n >= 2;
  const [older, newer] = ratios ? [oldRatio, newRatio] : [before.cell, now.cell];
  const step = stepOf(older, newer);
  if (!step) return undefined;
  const { experiment, variant, metric } = now;
  const blameless = variant === experiment.baseline || (!ratios && !sameMachine);
  const up = newer.median > older.median;
  const good = metric.better === 'higher' ? up : !up;
  const word = blameless || metric.better === 'neither' ? 'moved' : good ? 'better' : 'worse';
  return {
    experiment: experiment.id,
    ...{ variant, metric, of: ratios ? 'ratio' : 'value' },
    ...{ old: older.median, new: newer.median, ...step, word },
  };
}

/** How far the median went, when that is more than noise. */
export function stepOf(
  older: Summary,
  newer: Summary,
): { change: number; noise: number } | undefined {
  if (older.median === newer.median) return undefined;
  const overlap = newer.q1 <= older.q3 && older.q1 <= newer.q3;
  if (overlap) return undefined;
  const spread = (summary: Summary) => uncertainty(summary, CONFIDENCE) ?? 0;
  const change = (newer.median - older.median) / Math.abs(older.median);
  const noise = Math.hypot(spread(older), spread(newer)) / Math.abs(older.median || 1);
  return Math.abs(change) < Math.max(CHANGE_MIN, noise) ? undefined : { change, noise };
}

function machineKey({ machine }: Results): string {
  return [machine.cpu, machine.cores, machine.memoryMib].join(' | ');
}

function warningsOf(older: Results, newer: Results, sameMachine: boolean): string[] {
  const warnings: string[] = [];
  const differ = (what: string, a: string, b: string) => {
    if (a !== b) warnings.push(`${what}: ${a} before, ${b} now`);
  };
  if (!sameMachine) {
    const text = 'different machines: absolute values are shown, but count as no regression';
    warnings.push(`${text} (${machineKey(older)} before, ${machineKey(newer)} now)`);
  }
  differ('different loads', older.quick ? 'quick' : 'full', newer.quick ? 'quick' : 'full');
  differ('different kernels', older.machine.kernel, newer.machine.kernel);
  differ('different QEMUs', older.machine.qemu ?? 'none', newer.machine.qemu ?? 'none');
  differ('different Nodes', older.machine.node, newer.machine.node);
  for (const [when, { complete }] of Object.entries({ older, newer }))
    if (!complete) warnings.push(`the ${when} run was interrupted`);
  return warnings;
}
