/**
 * What a benchmark run leaves behind, as `results.json`.
 *
 * The file is one JSON object, `Results` below, with `schema` first. The schema's number grows when an old reader would
 * misread a new file. The file holds what was measured (every value of every run, with its round) and what was found in
 * it: each experiment also has `statistics` (variant → metric → `Cell`), `noise` (`Noise`) and `verdicts` (`Verdict[]`).
 * The findings are for other programs; curling's own reader drops them and computes them again from the values.
 * Values are in the unit of their metric, times in seconds unless the name says otherwise, percentages of the whole
 * machine (100 % is all cores).
 */
import type { Experiment, Goal, Metric, Values, Variant } from '../scenario.ts';

export const SCHEMA = 'curling-bench/1';

export interface MachineFacts {
  cpu: string;
  cores: number;
  memoryMib: number;
  kernel: string;
  node: string;
  /** The first line of `qemu-system-x86_64 --version`, or null without one. */
  qemu: string | null;
  /** Whether /dev/kvm can be opened. The lab's guests run under TCG all the same. */
  kvm: boolean;
  /** The commit of the sources, or null outside a git repository. */
  commit: string | null;
  /** Whether the sources differ from the commit. */
  dirty: boolean;
  /** One-minute load average and the steal and foreign load in the second before the start. */
  before: { load: number; stealPercent: number; foreignPercent: number };
}

/** One run that ended with values. */
export interface RunRecord {
  /** From 0. */
  round: number;
  seconds: number;
  values: Values;
}

/** One run that ended with an unexpected error. */
export interface RunError {
  round: number;
  message: string;
}

/** `not-reached`: the experiment ended before the variant's first run did. */
export const VARIANT_OUTCOMES = ['measured', 'not-runnable', 'failed', 'not-reached'] as const;
export type VariantOutcome = (typeof VARIANT_OUTCOMES)[number];

export interface VariantResults extends Variant {
  outcome: VariantOutcome;
  /** Why it was not measured, in full; null when it was. */
  reason: string | null;
  errors: RunError[];
  runs: RunRecord[];
}

/** What the machine did during one round. */
export interface RoundFacts {
  round: number;
  seconds: number;
  /** What a fixed piece of arithmetic, and copying a fixed amount of memory, took just before the round. */
  probeSpinMs: number;
  probeCopyMs: number;
  /** Time that the hypervisor gave to others. */
  stealPercent: number;
  /** Time that processes took which are not of this benchmark. */
  foreignPercent: number;
}

export const EXPERIMENT_OUTCOMES = ['complete', 'interrupted', 'not-runnable', 'failed'] as const;
export type ExperimentOutcome = (typeof EXPERIMENT_OUTCOMES)[number];

export interface ExperimentResults {
  id: string;
  title: string;
  about: string;
  metrics: Metric[];
  baseline: string | null;
  goals: Goal[];
  axis: NonNullable<Experiment['axis']> | null;
  roundsPlanned: number;
  outcome: ExperimentOutcome;
  /** Why it is not complete; null when it is. */
  reason: string | null;
  seconds: number;
  variants: VariantResults[];
  rounds: RoundFacts[];
}

export interface ScenarioResults {
  name: string;
  title: string;
  question: string;
  experiments: ExperimentResults[];
}

export interface Results {
  schema: typeof SCHEMA;
  /** ISO 8601, UTC. */
  started: string;
  finished: string;
  seconds: number;
  quick: boolean;
  /** What --rounds said, or null. */
  roundsAsked: number | null;
  /** The names on the command line; empty for everything. */
  only: string[];
  /** False when the run was interrupted. */
  complete: boolean;
  machine: MachineFacts;
  scenarios: ScenarioResults[];
}

/** The experiments of all scenarios. */
export function experimentsOf(results: Results): ExperimentResults[] {
  return results.scenarios.flatMap(scenario => scenario.experiments);
}

/** Whether anything went wrong that is not a plain "cannot run here". */
export function hasFailures(results: Results): boolean {
  return experimentsOf(results).some(
    experiment =>
      experiment.outcome === 'failed' ||
      experiment.variants.some(variant => variant.outcome === 'failed'),
  );
}
