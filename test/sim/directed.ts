/** Scenarios made for one question, where numbers alone would have to search for long. */
import type { Mutation } from '../arbitration/sim/mutation.ts';
import { runScenario } from './scenario.ts';
import { Simulation } from './simulation.ts';
import { STRIKE_TIMES } from './strike.ts';

/**
 * The question for the pair is stuck on its way while the coordinator that asked dies and comes back.
 * @throws Violation
 */
export function runStuckPair(seed: number, mutation?: Mutation): Simulation {
  const sim = new Simulation({
    seed,
    network: { jitterMs: 20 },
    ...(mutation ? { mutation } : {}),
  });
  const times = { ...STRIKE_TIMES, downMs: 1 };
  runScenario(sim, {
    strikes: [
      { fault: 'cut-pw', point: 'R4-copy-acknowledged', occurrence: 1, atMs: 0, times },
      { fault: 'kill-primary-coordinator', point: 'R5-pair-sent', occurrence: 1, atMs: 0, times },
    ],
    healAtMs: 2_000,
    takeOverAtMs: -1,
  });
  return sim;
}
