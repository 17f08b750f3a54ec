/**
 * What a benchmark is made of. A scenario asks one question of curling; it consists of experiments, each of which is one
 * table of the report: variants down, metrics across. The runner runs the variants of an experiment in turns, round
 * after round, and compares every value with that of the baseline in the same round, because the machine is shared and
 * its speed drifts: ratios tell more than absolutes.
 */
import type { Logger } from '../common/log.ts';

/** What a metric counts, and how it is printed. Values are in this unit, never scaled. */
export const UNITS = [
  'us',
  'ms',
  's',
  'Gbit/s',
  'Mpps',
  'MB/s',
  'MB',
  'KiB',
  'ns',
  '%',
  'x',
  '1/s',
  '',
] as const;
export type Unit = (typeof UNITS)[number];

export interface Metric {
  /** Key in results: lower case, digits, dashes. */
  id: string;
  /** Column heading, without the unit. */
  title: string;
  /** An empty unit is a plain count. */
  unit: Unit;
  /** Which way is good; `neither` never counts as a regression. */
  better: 'higher' | 'lower' | 'neither';
}

export interface Variant {
  /** Key in results: lower case, digits, dashes. */
  id: string;
  /** Row heading. */
  title: string;
  /** Position on the x axis of the plot, for variants that are steps of one quantity. */
  x?: number;
  /** The line of the plot that the variant belongs to; variants without `x` are bars. */
  series?: string;
  /** Whether the quick form does without it. Not for a baseline. */
  fullOnly?: boolean;
}

/** One value per metric that was measured; a metric may be left out. */
export type Values = Readonly<Record<string, number>>;

/** The goal of one cell, checked against the ratio to the baseline or against the value; shown in the report. */
export interface Goal {
  variant: string;
  metric: string;
  /** `ratio` compares the median ratio to the baseline, `value` the median value. */
  of: 'ratio' | 'value';
  /** The bound, inclusive. At least one of them. */
  min?: number;
  max?: number;
  /** Whether each single round must meet it: for what must never happen, such as a lost frame. */
  every?: boolean;
}

/** Thrown by `run` (or `open`) when a variant cannot run here: the report says why, in the tool's own words. */
export class NotRunnable extends Error {
  override readonly name = 'NotRunnable';
}

export interface RunContext {
  /** Whether this is the short form: smaller loads, fewer samples, the same questions. */
  readonly quick: boolean;
  readonly log: Logger;
  /** Ends the benchmark: runs should give up soon after it is aborted. */
  readonly signal: AbortSignal;
  /** A folder for the experiment's own files, removed afterwards. */
  readonly folder: string;
}

export interface Experiment {
  /** Key in results, `SCENARIO/NAME`. */
  id: string;
  title: string;
  /** One or two sentences: what is measured, where, with which tool, and how to read it. Goes into the report. */
  about: string;
  metrics: readonly Metric[];
  variants: readonly Variant[];
  /** The variant that all others are compared with. Without one there are no ratios. */
  baseline?: string;
  goals?: readonly Goal[];
  /** The axis of the plot, when variants have an `x`. */
  axis?: { title: string; unit: Unit; logarithmic?: boolean };
  /** One or more in the full form; 0 when the quick form does without the experiment. */
  rounds: { full: number; quick: number };
  /** A rough guess of the seconds that `open` and one `run` of one variant take, for the time left. */
  seconds: { open: number; run: number; quickRun: number };
  /** Sets up what all variants share. `close` is called even when it fails half way. */
  open?(context: RunContext): Promise<void>;
  /** Measures one variant once. Leaves nothing running that disturbs the next one. */
  run(variant: string, context: RunContext): Promise<Values>;
  close?(): Promise<void>;
}

export interface Scenario {
  /** What is typed after `npm run bench --`: lower case, one word or two with a dash. */
  name: string;
  title: string;
  /** The question, and what the answer depends on. One paragraph of the report. */
  question: string;
  /** In the order in which they run. */
  experiments: readonly Experiment[];
}
