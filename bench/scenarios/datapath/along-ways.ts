/** An experiment whose variants are ways that frames can take, on two rigs that stay up for all of its rounds. */
import type { RigOptions } from '../../rig/rig.ts';
import { type Course, type Way, Ways } from '../../rig/ways.ts';
import type { Experiment, RunContext, Values, Variant } from '../../scenario.ts';
import { orNotRunnable } from '../not-runnable.ts';

type Measure = (course: Course, context: RunContext, variant: string) => Promise<Values>;

/** Ids of these variants are ways. */
export const BRIDGE: Variant = { id: 'bridge', title: 'kernel bridge alone' };
export const BYPASS: Variant = { id: 'bypass', title: 'curling, unprotected' };
export const PASS: Variant = { id: 'pass', title: 'curling, captured and sent at once' };
export const HOLD: Variant = { id: 'hold', title: 'curling, sealed and released without end' };
export const ALL_WAYS = [BRIDGE, BYPASS, PASS, HOLD] as const;

/** The experiment, with `open`, `run` and `close` of its own. */
export function alongWays(
  experiment: Omit<Experiment, 'open' | 'run' | 'close' | 'baseline'>,
  rig: RigOptions,
  measure: Measure,
): Experiment {
  let ways: Ways | undefined;
  return {
    ...experiment,
    baseline: BRIDGE.id,
    async open() {
      ways = await orNotRunnable(() => Ways.open(rig));
    },
    run(variant, context) {
      return ways!.along(variant as Way, course => measure(course, context, variant));
    },
    async close() {
      await ways?.close();
      ways = undefined;
    },
  };
}
