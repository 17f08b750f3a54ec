/** Scenarios that measure nothing: their values come from a function, their runs take no time. */

import type { Limits, Position } from '../../bench/harness/experiment-run.ts';
import { type ExperimentResults, type Results, SCHEMA } from '../../bench/harness/results.ts';
import { runScenarios } from '../../bench/harness/runner.ts';
import type { Experiment, Metric, Scenario, Values } from '../../bench/scenario.ts';
import { silentLogger } from '../../common/log.ts';

export const SPEED: Metric = { id: 'speed', title: 'Speed', unit: 'Gbit/s', better: 'higher' };
export const DELAY: Metric = { id: 'delay', title: 'Delay p50', unit: 'us', better: 'lower' };
export const SIZE: Metric = { id: 'size', title: 'Size', unit: '', better: 'neither' };

/** An experiment with three variants, the first the baseline; `values` is asked for every run. */
export function experimentOf(
  values: (variant: string, call: number) => Values | Promise<Values>,
  change: Partial<Experiment> = {},
): Experiment {
  let call = 0;
  return {
    id: 'double/one',
    title: 'A test double',
    about: 'Measures nothing.',
    metrics: [SPEED, DELAY],
    variants: [
      { id: 'bridge', title: 'Kernel bridge' },
      { id: 'open', title: 'Unprotected' },
      { id: 'hold', title: 'Holding' },
    ],
    baseline: 'bridge',
    rounds: { full: 6, quick: 3 },
    seconds: { open: 1, run: 2, quickRun: 1 },
    run: async variant => values(variant, call++),
    ...change,
  };
}

export function scenarioOf(...experiments: Experiment[]): Scenario {
  const question = 'Does it work?';
  return { name: 'double', title: 'Test doubles', question, experiments };
}

export interface World {
  said: string[];
  positions: Position[];
  ended: ExperimentResults[];
  abort: AbortController;
}

export function worldOf(): World {
  return { said: [], positions: [], ended: [], abort: new AbortController() };
}

/** Runs the scenarios in a machine where time moves by one second with each look, and nothing else happens. */
export async function runDoubles(
  scenarios: readonly Scenario[],
  { quick = false, roundsAsked, world = worldOf(), limits }: DoubleOptions = {},
): Promise<Results> {
  let nowMs = 0;
  const bench = {
    ...{ quick, roundsAsked, log: silentLogger, signal: world.abort.signal },
    ...(limits ? { limits } : {}),
    now: () => {
      nowMs += 1000;
      return nowMs;
    },
    probe: () => ({ spinMs: 20, copyMs: 20 }),
    ticks: () => ({ total: nowMs, processes: 0, steal: 0, ours: new Map() }),
    at: (position: Position) => void world.positions.push(position),
    say: (line: string) => void world.said.push(line),
  };
  const onExperiment = (experiment: ExperimentResults) => void world.ended.push(experiment);
  const run = await runScenarios(scenarios, bench, { onExperiment });
  return resultsOf({
    quick,
    scenarios: run,
    roundsAsked: roundsAsked ?? null,
    complete: !world.abort.signal.aborted,
  });
}

export interface DoubleOptions {
  limits?: Limits;
  quick?: boolean;
  roundsAsked?: number | undefined;
  world?: World;
}

/** Results of a machine that does not exist. */
export function resultsOf(change: Partial<Results> = {}): Results {
  return {
    schema: SCHEMA,
    started: '2026-11-23T06:40:11.000Z',
    finished: '2026-11-23T07:10:11.000Z',
    seconds: 1800,
    quick: false,
    roundsAsked: null,
    only: [],
    complete: true,
    machine: {
      cpu: 'Imaginary 9000',
      cores: 2,
      memoryMib: 8192,
      kernel: 'Linux 6.1.0',
      node: '20.20.2',
      qemu: 'QEMU emulator version 7.2.0',
      kvm: false,
      commit: '0123456789abcdef0123456789abcdef01234567',
      dirty: false,
      before: { load: 0.1, stealPercent: 0, foreignPercent: 0.5 },
    },
    scenarios: [],
    ...change,
  };
}

/** The only experiment of a run of one. */
export async function runExperimentDouble(
  experiment: Experiment,
  options: DoubleOptions = {},
): Promise<ExperimentResults> {
  const results = await runDoubles([scenarioOf(experiment)], options);
  return results.scenarios[0]!.experiments[0]!;
}
