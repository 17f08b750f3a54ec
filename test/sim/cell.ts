/** One fault at one point: reaches the point, strikes there, lets the fault end, and says where the guest goes on. */
import type { Mutation } from '../arbitration/sim/mutation.ts';
import { expected, type Outcome } from '../faults/expected.ts';
import type { PointName } from '../faults/points.ts';
import { FAULT_FACTS, type FaultName } from './faults.ts';
import { Violation } from './outside.ts';
import { Simulation } from './simulation.ts';
import { Strike } from './strike.ts';
import { isProtected } from './survival.ts';

export interface CellOptions {
  point: PointName;
  fault: FaultName;
  seed: number;
  trace?: boolean;
  mutation?: Mutation;
}

export interface CellResult {
  /** Whether the point was passed and the fault came there. */
  hit: boolean;
  outcome: Outcome;
  /** Virtual milliseconds from the fault until the guest was heard again; -1 when it was not. */
  gapMs: number;
  sim: Simulation;
}

/** To reach a point. */
const REACH_MS = 5_000;
/** After the end of the fault until service, and protection where two hosts are up. */
export const LIVENESS_MS = 6_000;
/** What was said before this much time has passed may have been on its way. */
const SETTLED_MS = 30;
/** Frames that the outside saw before a fault. */
const WARM_FRAMES = 3;

/** @throws Violation, with what happened elsewhere than expected as L0 and what did not come back as L1. */
export function runCell(options: CellOptions): CellResult {
  const { point, fault, seed, trace = false, mutation } = options;
  const sim = new Simulation({ seed, trace, ...(mutation ? { mutation } : {}) });
  return judgeCell(sim, point, fault);
}

export function judgeCell(sim: Simulation, point: PointName, fault: FaultName): CellResult {
  const [primary, backup] = [sim.hosts[0]!, sim.hosts[1]!];
  const strike = new Strike(sim, { primary, backup });
  let struckAt = -1;
  sim.begin();
  if (!point.startsWith('R')) warmUp(sim);
  sim.onPoint = (passed, host) => {
    const mine = passed === point && struckAt < 0;
    if (!mine || (point.startsWith('F') && host !== backup)) return;
    struckAt = sim.loop.now;
    sim.note('---', `${fault} at ${point}`);
    strike.begin(FAULT_FACTS[fault]);
  };
  if (point.startsWith('F')) backup.coordinator!.backup.takeOver();
  if (!sim.run(sim.loop.now + REACH_MS, () => struckAt >= 0)) {
    throw new Violation('L0', `${point} was never reached`);
  }
  sim.run(sim.loop.now + REACH_MS, () => strike.over);
  const outcome = settle(sim, fault);
  const spoke = Math.max(...sim.spokeAt);
  const wanted = expected(point, fault).outcome;
  if (outcome !== wanted && !(wanted === 'either' && outcome !== 'stopped')) {
    throw new Violation('L0', `${fault} at ${point}: ${outcome}, expected ${wanted}`);
  }
  return { hit: true, outcome, gapMs: outcome === 'stopped' ? -1 : spoke - struckAt, sim };
}

function warmUp(sim: Simulation): void {
  const warm = () =>
    sim.hosts[0]!.coordinator?.state?.name === 'PROT' && sim.outside.frames >= WARM_FRAMES;
  if (!sim.run(REACH_MS, warm)) throw new Violation('L1', 'the machine was never protected');
}

/** Waits for the guest to be heard, and protected where it can be. */
function settle(sim: Simulation, fault: FaultName): Outcome {
  const healedAt = sim.loop.now;
  const heard = () => sim.spokeAt.findIndex(at => at > healedAt + SETTLED_MS);
  if (!sim.run(healedAt + LIVENESS_MS, () => heard() >= 0)) return 'stopped';
  const outcome = heard() === 0 ? 'primary' : 'backup';
  if (fault.startsWith('pause-forever')) return outcome;
  if (!sim.run(healedAt + LIVENESS_MS, () => isProtected(sim))) {
    throw new Violation('L1', 'the machine was not protected again');
  }
  return outcome;
}
