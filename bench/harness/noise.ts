/** How well an experiment could tell differences, and what of the machine was in the way. */
import type { Cells } from './cells.ts';
import type { ExperimentResults } from './results.ts';
import { medianOr0, rangePercent, uncertainty } from './statistics.ts';

export interface Noise {
  /**
   * Metric to the smallest difference between two variants that can be told (95 %), in percent of the value, from the
   * spread of the baseline (without one: the median of all variants). Missing with fewer than two rounds,
   * and around 0.
   */
  tellsPercent: Record<string, number>;
  /** Medians over the rounds. */
  stealPercent: number;
  foreignPercent: number;
  /** How far the slowest and the fastest probe were apart; the larger of arithmetic and memory. */
  probePercent: number;
  /** Sentences, empty on a quiet machine. */
  warnings: string[];
}

/** Above these, a warning is given. */
const LIMITS = { tellsPercent: 10, stealPercent: 2, foreignPercent: 5, probePercent: 15 } as const;
const CONFIDENCE = 95;
/** The uncertainty of a difference of two equally uncertain values. */
const OF_TWO = Math.SQRT2;

/** The noise of one experiment. */
export function noiseOf(experiment: ExperimentResults, cells: Cells): Noise {
  const tellsPercent: Record<string, number> = {};
  for (const metric of experiment.metrics) {
    const rows = experiment.baseline ? [experiment.baseline] : Object.keys(cells);
    const known = rows.flatMap(id => {
      const cell = cells[id]?.[metric.id];
      const unit = cell && uncertainty(cell, CONFIDENCE);
      return typeof unit === 'number' && cell?.median ? unit / Math.abs(cell.median) : [];
    });
    if (known.length > 0) tellsPercent[metric.id] = medianOr0(known) * OF_TWO * 100;
  }
  const { rounds } = experiment;
  const facts = {
    tellsPercent,
    stealPercent: medianOr0(rounds.map(round => round.stealPercent)),
    foreignPercent: medianOr0(rounds.map(round => round.foreignPercent)),
    probePercent: Math.max(
      rangePercent(rounds.map(round => round.probeSpinMs)),
      rangePercent(rounds.map(round => round.probeCopyMs)),
    ),
  };
  return { ...facts, warnings: warningsOf(facts) };
}

function warningsOf(facts: Omit<Noise, 'warnings'>): string[] {
  const warnings: string[] = [];
  const tells = medianOr0(Object.values(facts.tellsPercent));
  if (tells > LIMITS.tellsPercent)
    warnings.push(`half of the metrics cannot tell differences below ${tells.toFixed(0)} %`);
  if (facts.stealPercent > LIMITS.stealPercent)
    warnings.push(`the hypervisor took ${facts.stealPercent.toFixed(0)} % of the processor time`);
  if (facts.foreignPercent > LIMITS.foreignPercent)
    warnings.push(
      `other processes took ${facts.foreignPercent.toFixed(0)} % of the processor time`,
    );
  if (facts.probePercent > LIMITS.probePercent)
    warnings.push(`the machine's own speed moved by ${facts.probePercent.toFixed(0)} %`);
  return warnings;
}
