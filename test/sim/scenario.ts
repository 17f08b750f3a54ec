/**
 * A run with any number of faults: each comes at a point or at a time. Then everything is healed, started and woken, and
 * service must come back, and protection with it, wherever somebody is left who may run the machine.
 */
import type { PointName } from '../faults/points.ts';
import { FAULT_FACTS, type FaultName } from './faults.ts';
import type { SimHost } from './host.ts';
import { Violation } from './outside.ts';
import type { Simulation } from './simulation.ts';
import { Strike, type StrikeTimes } from './strike.ts';
import { isProtected, lostInBetween, survival } from './survival.ts';

export interface PlannedStrike {
  readonly fault: FaultName;
  /** A point, passed for the `occurrence`th time since the strike before; or a time in milliseconds. */
  readonly point?: PointName;
  readonly occurrence: number;
  readonly atMs: number;
  readonly times: StrikeTimes;
}

export interface Scenario {
  readonly strikes: readonly PlannedStrike[];
  /** When everything is healed. */
  readonly healAtMs: number;
  /** When the operator asks the backup to take over; never when negative. */
  readonly takeOverAtMs: number;
}

/** After everything is healed: a primary that waits for WELCOME of a host that died does so for 10 s. */
const LIVENESS_MS = 12_000;
/** What is said later than this was not on its way before. */
const SETTLED_MS = 30;

const PRIMARY_STATES = new Set(['PROT', 'PRES', 'SOLO', 'SYNC', 'SRES']);

/** @throws Violation */
export function runScenario(sim: Simulation, { strikes, healAtMs, takeOverAtMs }: Scenario): void {
  sim.begin();
  arm(sim, [...strikes]);
  if (takeOverAtMs >= 0) sim.loop.after(takeOverAtMs, () => takeOver(sim));
  sim.run(healAtMs, () => false);
  healAll(sim);
  const before = survival(sim);
  const healedAt = sim.loop.now;
  const served = sim.run(healedAt + LIVENESS_MS, () =>
    sim.spokeAt.some(at => at > healedAt + SETTLED_MS),
  );
  const after = survival(sim);
  if (!served) {
    if (after.possible) throw new Violation('L1', 'nobody runs the machine, though somebody may');
    if (lostInBetween(before, after)) throw new Violation('L1', 'the machine was given up');
    return sim.reached('stopped');
  }
  if (sim.run(healedAt + LIVENESS_MS, () => isProtected(sim)))
    return sim.reached('protected again');
  const possible = survival(sim).possible;
  if (possible) throw new Violation('L1', 'the machine was not protected again');
}

/** The host that runs the guest, and another one. */
export function rolesOf(sim: Simulation): { primary: SimHost; backup: SimHost } {
  const { hosts } = sim;
  const runs = (host: SimHost) =>
    host.coordinator?.process.alive && PRIMARY_STATES.has(host.coordinator.state?.name ?? '');
  const primary = hosts.find(runs) ?? hosts.find(host => host.qemu?.process.alive) ?? hosts[0]!;
  const others = hosts.filter(host => host !== primary);
  const backs = others.find(host => host.coordinator?.state?.name === 'BACK');
  return { primary, backup: backs ?? others[sim.random.below(others.length)]! };
}

function arm(sim: Simulation, strikes: PlannedStrike[]): void {
  for (const strike of strikes) {
    if (!strike.point) sim.loop.after(strike.atMs, () => begin(sim, strike, rolesOf(sim)));
  }
  const pointed = strikes.filter(strike => strike.point);
  let passed = 0;
  sim.onPoint = (point, host) => {
    const next = pointed[0];
    if (!next || next.point !== point || ++passed < next.occurrence) return;
    pointed.shift();
    passed = 0;
    const roles = rolesOf(sim);
    const backup = host === roles.primary ? roles.backup : host;
    begin(
      sim,
      next,
      point[0] === 'F'
        ? { primary: otherOf(sim, host), backup: host }
        : {
            primary: roles.primary,
            backup,
          },
    );
  };
}

function otherOf(sim: Simulation, host: SimHost): SimHost {
  const others = sim.hosts.filter(other => other !== host);
  return others.find(other => other.qemu?.process.alive) ?? others[0]!;
}

function begin(
  sim: Simulation,
  { fault, point, times }: PlannedStrike,
  roles: { primary: SimHost; backup: SimHost },
): void {
  sim.note('---', `${fault} at ${point ?? 'its time'}, primary ${roles.primary.name}`);
  sim.reached(`struck ${fault}`);
  if (point) sim.reached(`struck at ${point}`);
  new Strike(sim, roles, times).begin(FAULT_FACTS[fault]);
}

function takeOver(sim: Simulation): void {
  const backup = sim.hosts.find(({ coordinator }) => coordinator?.state?.name === 'BACK');
  if (!backup?.coordinator?.process.alive) return;
  sim.reached('the operator asked for a takeover');
  sim.note('---', `the operator asks ${backup.name} to take over`);
  backup.coordinator.backup.takeOver();
}

function healAll(sim: Simulation): void {
  sim.note('---', 'everything is healed');
  sim.onPoint = () => {};
  sim.network.healAll();
  sim.startWitness();
  sim.witness.process.resume();
  for (const host of sim.hosts) {
    if (!host.up) host.boot();
    host.resumeAll();
    host.allowAll();
  }
}
