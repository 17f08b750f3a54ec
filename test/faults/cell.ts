/**
 * One cell with real processes: the protected pair comes to a point, the process that passes it stops there, the fault is
 * done, the process goes on. Then the guest is heard again as the table says, everything is repaired, the pair is protected
 * again, and the observer is asked.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { StopPoint } from '../../common/test-stop.ts';
import { VM } from '../../lab/deployment.ts';
import type { Verdict } from '../../lab/observer/oracle.ts';
import { FAULT_FACTS, type Fault, type FaultName, type Target } from '../sim/faults.ts';
import { expected, type Outcome } from './expected.ts';
import { type Field, isStopped, type Roles } from './field.ts';
import { inject, pidsOfTarget } from './inject.ts';
import { POINT_FACTS, type PointName } from './points.ts';

export interface CellName {
  point: PointName;
  fault: FaultName;
}

export interface CellResult extends CellName {
  expected: Outcome;
  /** Where the guest went on; null when the cell did not come so far. */
  outcome: 'primary' | 'backup' | 'stopped' | null;
  ok: boolean;
  /** Longest silence of the guest outside, milliseconds; null when it was not heard again. */
  gapMs: number | null;
  /** Of the observer, in this cell alone. */
  offences: { repeated: number; contradicted: number; uncommitted: number; lost: number };
  durationMs: number;
  /** What was wrong, or worth to be told; empty when all was as expected. */
  notes: string[];
}

const STOP_MS_MAX = 20_000;
const WAIT_MS_MAX = 30_000;
/** Epochs that pass before the one in which the process stops. */
const EPOCHS = 3;
/** Which of the two hosts is first is a matter of milliseconds here: the stop takes some of them. */
const RACES: readonly FaultName[] = ['cut-pb', 'cut-p-to-b', 'cut-b-to-p'];
const PROCESS: Readonly<Record<(typeof POINT_FACTS)[PointName]['at'], Target>> = {
  primary: 'primary-coordinator',
  backup: 'backup-coordinator',
  proxy: 'primary-proxy',
  witness: 'witness',
};

/** The name of a point without its number. */
export function stopPointOf(point: PointName): StopPoint {
  return point.slice(point.indexOf('-') + 1) as StopPoint;
}

/** What a cell may end with. */
export function accepted({ point, fault }: CellName): readonly string[] {
  const { outcome } = expected(point, fault);
  const races = RACES.includes(fault) && /^(E\d+|R[4-7])-/.test(point);
  if (outcome === 'either' || (races && outcome !== 'stopped')) return ['primary', 'backup'];
  return [outcome];
}

/** Whether the guest is heard again only when what failed is repaired. */
export function needsRepair({ point, fault }: CellName): boolean {
  const { outcome } = expected(point, fault);
  const facts: Fault = FAULT_FACTS[fault];
  const takesOver = outcome !== 'primary';
  if (facts.kind === 'cut')
    return fault === 'cut-pw'
      ? !takesOver
      : fault === 'cut-bw'
        ? takesOver
        : needsLan(point, fault);
  if (facts.kind !== 'kill' && !(facts.kind === 'pause' && facts.length === 'forever'))
    return false;
  switch (facts.target) {
    case 'primary-proxy':
      return !takesOver;
    case 'backup-proxy':
      return takesOver;
    case 'witness':
      return decided(point);
    case 'primary-coordinator':
      return !takesOver;
    case 'backup-coordinator':
      return takesOver; // the guest may be heard before, but nobody can be asked
    default:
      return false;
  }
}

/** Whether the witness is still to be asked, or to be heard, at this point. */
function decided(point: PointName): boolean {
  return /^(F[1-3]|R[1-6])-/.test(point);
}

/** A host that is cut off altogether: the guest that stays on it is not heard. */
function needsLan(point: PointName, fault: FaultName): boolean {
  const { outcome } = expected(point, fault);
  if (fault === 'cut-primary') return outcome !== 'backup';
  return fault === 'cut-backup' && outcome !== 'primary';
}

/** Runs one cell. Never throws; a field that came to no good end is marked by a result that is not `ok`. */
export async function runCell(field: Field, cell: CellName, before: Verdict): Promise<CellRun> {
  const begun = performance.now();
  const result: CellResult = {
    ...cell,
    expected: expected(cell.point, cell.fault).outcome,
    outcome: null,
    ok: false,
    gapMs: null,
    offences: { repeated: 0, contradicted: 0, uncommitted: 0, lost: 0 },
    durationMs: 0,
    notes: [],
  };
  let verdict = before;
  try {
    verdict = await new Cell(field, cell, result).run(before);
  } catch (error) {
    result.notes.push(error instanceof Error ? error.message : String(error));
  }
  const { repeated, contradicted, uncommitted, lost } = result.offences;
  result.ok = result.notes.length === 0 && repeated + contradicted + uncommitted + lost === 0;
  result.durationMs = Math.round(performance.now() - begun);
  return { result, verdict };
}

export interface CellRun {
  result: CellResult;
  /** Of everything since the field began. */
  verdict: Verdict;
}

class Cell {
  readonly #field: Field;
  readonly #cell: CellName;
  readonly #result: CellResult;
  #roles: Roles = { primary: '', backup: '' };

  constructor(field: Field, cell: CellName, result: CellResult) {
    this.#field = field;
    this.#cell = cell;
    this.#result = result;
  }

  async run(before: Verdict): Promise<Verdict> {
    this.#roles = await this.#field.untilWhole(WAIT_MS_MAX);
    const stopped = await this.#reach();
    const atMs = Date.now();
    await inject(this.#field, this.#roles, this.#cell.fault, stopped);
    // What was in the pipes when the fault came says nothing about afterwards.
    await sleep(1.5 * this.#field.detectionMs);
    const instants = [{ name: 'fault', atMs }];
    if (this.#result.expected === 'stopped') {
      await this.#untilHeld();
      this.#result.outcome = 'stopped';
      const { verdict } = await this.#field.traffic.finish(instants);
      this.#judge(before, verdict);
      return verdict;
    }
    if (needsRepair(this.#cell)) await this.#field.repair();
    await this.#untilGoesOn();
    await this.#field.repair();
    const after = await this.#field.untilWhole(WAIT_MS_MAX);
    this.#result.outcome = after.primary === this.#roles.primary ? 'primary' : 'backup';
    if (!accepted(this.#cell).includes(this.#result.outcome))
      this.#result.notes.push(`went on at the ${this.#result.outcome}`);
    const verdict = await this.#field.traffic.check(instants);
    this.#judge(before, verdict);
    const gapMs = verdict.gaps[0]?.silence.durationMs;
    this.#result.gapMs = gapMs === undefined ? null : Math.round(gapMs);
    return verdict;
  }

  /** Brings a process to the point; returns it, stopped. */
  async #reach(): Promise<number> {
    const { point } = this.#cell;
    const { deployment } = this.#field;
    const { primary, backup } = this.#roles;
    const again = point.startsWith('R');
    if (again) {
      await deployment.tell(primary, 'unprotect');
      const alone = (state: string | undefined) => state === 'SOLO';
      await this.#field.until('primary alone', WAIT_MS_MAX, async () => {
        const [mine, other] = await Promise.all([primary, backup].map(n => this.#field.status(n)));
        return alone(mine?.state) && other?.state === 'JOIN';
      });
    }
    const pids = pidsOfTarget(this.#field, this.#roles, PROCESS[POINT_FACTS[point].at]);
    this.#field.arm(stopPointOf(point), point.startsWith('E') ? EPOCHS : 1);
    if (again) await deployment.tell(primary, 'protect');
    // Its answer may wait until the coordinator that has stopped goes on, or never come.
    if (point.startsWith('F'))
      deployment.tell(backup, 'failover', { vm: VM }).catch(() => undefined);
    try {
      await this.#field.until(`process at ${point}`, STOP_MS_MAX, () => pids.some(isStopped));
    } finally {
      this.#field.disarm();
    }
    return pids.find(isStopped)!;
  }

  /** Somebody runs the guest, as the table says, and it is heard. */
  async #untilGoesOn(): Promise<void> {
    const hosts = accepted(this.#cell).map(name => this.#roles[name as keyof Roles]);
    await this.#field.until(`guest on ${hosts.join(' or ')}`, WAIT_MS_MAX, async () => {
      // A primary that is cut off runs on, too, and holds all that it says.
      const statuses = await this.#field.statuses();
      return statuses.some(status => status?.running && hosts.includes(status.host));
    });
    await this.#field.untilHeard(20, WAIT_MS_MAX);
  }

  /** Nobody may speak freely, the guest is silent, and whoever is left says why. */
  async #untilHeld(): Promise<void> {
    await this.#field.until('machine that is stopped', WAIT_MS_MAX, async () => {
      const statuses = await this.#field.statuses();
      const left = statuses.filter(status => status !== undefined);
      const free = left.filter(({ state, running }) => state === 'SOLO' && running);
      return left.length > 0 && free.length === 0 && left.every(({ reason }) => reason !== '');
    });
    const seen = this.#field.traffic.recordsSeen;
    await sleep(3 * this.#field.detectionMs);
    if (this.#field.traffic.recordsSeen > seen) throw new Error('a stopped machine is heard');
  }

  /** Takes what the observer has found since the last cell. */
  #judge(before: Verdict, verdict: Verdict): void {
    const { offences, notes } = this.#result;
    offences.repeated = verdict.repeated - before.repeated;
    offences.contradicted = verdict.contradicted - before.contradicted;
    offences.uncommitted = verdict.uncommitted - before.uncommitted;
    offences.lost = verdict.connectionsLost - before.connectionsLost;
    notes.push(...verdict.offences.slice(before.offences.length));
    // Nobody is left who could remember what the guest has said.
    if (this.#result.expected !== 'stopped') notes.push(...verdict.inconclusive);
    const { lost } = this.#field.traffic.echo;
    if (lost && this.#result.expected !== 'stopped') notes.push(`echo: ${lost}`);
  }
}
