/** Reads results.json, its findings left out: they are computed again. */
import { readFileSync } from 'node:fs';
import { CurlingError, messageOf } from '../../common/errors.ts';
import { type Goal, type Metric, UNITS } from '../scenario.ts';
import {
  EXPERIMENT_OUTCOMES,
  type ExperimentResults,
  type MachineFacts,
  type Results,
  type RoundFacts,
  SCHEMA,
  type ScenarioResults,
  VARIANT_OUTCOMES,
  type VariantResults,
} from './results.ts';
import { Shape } from './shape.ts';

/**
 * The results in a file.
 * @throws CurlingError CURLING_USAGE when it cannot be read or is not a results.json of this version.
 */
export function readResults(file: string): Results {
  try {
    return parseResults(readFileSync(file, 'utf8'));
  } catch (error) {
    const text = `${file} is not a results.json of this benchmark: ${messageOf(error)}`;
    throw new CurlingError('CURLING_USAGE', text, { cause: error });
  }
}

/** @throws Error that says what was expected where. */
export function parseResults(json: string): Results {
  const shape = new Shape(JSON.parse(json));
  shape.member('schema').oneOf([SCHEMA]);
  return {
    schema: SCHEMA,
    started: shape.member('started').text,
    finished: shape.member('finished').text,
    seconds: shape.member('seconds').number,
    quick: shape.member('quick').boolean,
    roundsAsked: shape.nullable('roundsAsked', numberOf),
    only: shape.list('only', textOf),
    complete: shape.member('complete').boolean,
    machine: machineOf(shape.member('machine')),
    scenarios: shape.list('scenarios', scenarioOf),
  };
}

const textOf = (shape: Shape) => shape.text;
const numberOf = (shape: Shape) => shape.number;

function machineOf(shape: Shape): MachineFacts {
  const before = shape.member('before');
  return {
    cpu: shape.member('cpu').text,
    cores: shape.member('cores').number,
    memoryMib: shape.member('memoryMib').number,
    kernel: shape.member('kernel').text,
    node: shape.member('node').text,
    qemu: shape.nullable('qemu', textOf),
    kvm: shape.member('kvm').boolean,
    commit: shape.nullable('commit', textOf),
    dirty: shape.member('dirty').boolean,
    before: {
      load: before.member('load').number,
      stealPercent: before.member('stealPercent').number,
      foreignPercent: before.member('foreignPercent').number,
    },
  };
}

function scenarioOf(shape: Shape): ScenarioResults {
  return {
    name: shape.member('name').text,
    title: shape.member('title').text,
    question: shape.member('question').text,
    experiments: shape.list('experiments', experimentOf),
  };
}

function experimentOf(shape: Shape): ExperimentResults {
  return {
    id: shape.member('id').text,
    title: shape.member('title').text,
    about: shape.member('about').text,
    metrics: shape.list('metrics', metricOf),
    baseline: shape.nullable('baseline', textOf),
    goals: shape.list('goals', goalOf),
    axis: shape.nullable('axis', axisOf),
    roundsPlanned: shape.member('roundsPlanned').number,
    outcome: shape.member('outcome').oneOf(EXPERIMENT_OUTCOMES),
    reason: shape.nullable('reason', textOf),
    seconds: shape.member('seconds').number,
    variants: shape.list('variants', variantOf),
    rounds: shape.list('rounds', roundOf),
  };
}

function metricOf(shape: Shape): Metric {
  return {
    id: shape.member('id').text,
    title: shape.member('title').text,
    unit: shape.member('unit').oneOf(UNITS),
    better: shape.member('better').oneOf(['higher', 'lower', 'neither']),
  };
}

function goalOf(shape: Shape): Goal {
  return {
    variant: shape.member('variant').text,
    metric: shape.member('metric').text,
    of: shape.member('of').oneOf(['ratio', 'value']),
    ...present({
      min: shape.optional('min', numberOf),
      max: shape.optional('max', numberOf),
      every: shape.optional('every', member => member.boolean),
    }),
  };
}

function axisOf(shape: Shape): NonNullable<ExperimentResults['axis']> {
  return {
    title: shape.member('title').text,
    unit: shape.member('unit').oneOf(UNITS),
    ...present({ logarithmic: shape.optional('logarithmic', flag => flag.boolean) }),
  };
}

function variantOf(shape: Shape): VariantResults {
  return {
    id: shape.member('id').text,
    title: shape.member('title').text,
    ...present({ x: shape.optional('x', numberOf), series: shape.optional('series', textOf) }),
    outcome: shape.member('outcome').oneOf(VARIANT_OUTCOMES),
    reason: shape.nullable('reason', textOf),
    errors: shape.list('errors', error => ({
      round: error.member('round').number,
      message: error.member('message').text,
    })),
    runs: shape.list('runs', run => ({
      round: run.member('round').number,
      seconds: run.member('seconds').number,
      values: run.member('values').numbers,
    })),
  };
}

function roundOf(shape: Shape): RoundFacts {
  return {
    round: shape.member('round').number,
    seconds: shape.member('seconds').number,
    probeSpinMs: shape.member('probeSpinMs').number,
    probeCopyMs: shape.member('probeCopyMs').number,
    stealPercent: shape.member('stealPercent').number,
    foreignPercent: shape.member('foreignPercent').number,
  };
}

/** The members that are there. */
function present<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
