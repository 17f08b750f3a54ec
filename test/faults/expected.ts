/**
 * Where the guest goes on after one fault at one point: derived from the design by the rules below, never recorded. The
 * simulator and the tests with real processes both read it.
 *
 *   primary  goes on at the host that ran it; a backup is paired again once there is one
 *   backup   goes on at the host that was its backup
 *   either   goes on at one of the two; which is a race that the register decides
 *   stopped  nothing leaves any more, and the status says why; ended by whoever or whatever is missing, or an operator
 */
import { FAULT_FACTS, FAULTS, type Fault, type FaultName, type Target } from '../sim/faults.ts';
import { POINTS, type PointName, pointNumber } from './points.ts';

export type { FaultName, PointName };
export { FAULTS, POINTS };

export type Outcome = 'primary' | 'backup' | 'either' | 'stopped';

export interface Expectation {
  readonly outcome: Outcome;
  readonly why: string;
}

export interface ExpectedCell extends Expectation {
  readonly point: PointName;
  readonly fault: FaultName;
}

const primary = (why: string): Expectation => ({ outcome: 'primary', why });
const backup = (why: string): Expectation => ({ outcome: 'backup', why });
const either = (why: string): Expectation => ({ outcome: 'either', why });
const stopped = (why: string): Expectation => ({ outcome: 'stopped', why });

/** What the survivors notice of a fault, and what the rules ask. */
interface Struck {
  readonly fault: Fault;
  /** The process or host; null for a cut. */
  readonly target: Target | null;
  /** Killed, or never to be heard of again. */
  readonly lost: boolean;
  readonly forever: boolean;
  /** Too short for anybody to suspect anything. */
  readonly brief: boolean;
}

function struckBy(name: FaultName): Struck {
  const fault: Fault = FAULT_FACTS[name];
  const forever = fault.kind === 'pause' && fault.length === 'forever';
  return {
    fault,
    target: fault.kind === 'kill' || fault.kind === 'pause' ? fault.target : null,
    lost: fault.kind === 'kill' || forever,
    forever,
    brief: fault.kind === 'flap' || (fault.kind === 'pause' && fault.length === 'short'),
  };
}

/** Where the guest goes on after `fault` at `point`. */
export function expected(point: PointName, fault: FaultName): Expectation {
  const struck = struckBy(fault);
  const number = pointNumber(point);
  if (point.startsWith('E')) return inEpoch(fault, struck);
  if (point.startsWith('F')) return inTakeover(number, fault, struck);
  return inPairing(number, fault, struck);
}

/** All 1,085 cells. */
export function expectedCells(): ExpectedCell[] {
  return POINTS.flatMap(point =>
    FAULTS.map(fault => ({ point, fault, ...expected(point, fault) })),
  );
}

/** A protected machine: the backup has all that was said, and the primary all that was done. */
function inEpoch(name: FaultName, { target, brief }: Struck): Expectation {
  if (name === 'flap-pb') return either('TCP tries again late: a stall may be longer than a cut');
  if (brief) return primary('nobody is silent for as long as a detection time');
  switch (target) {
    case 'primary-coordinator':
    case 'primary-host':
      return backup('the primary is silent or its connection closes, and the backup asks alone');
    case null:
      return byCut(name);
    default:
      if (name === 'kill-primary-qemu') return backup('the primary says that its guest is lost');
      return protectedStays(target);
  }
}

function protectedStays(target: Target): Expectation {
  switch (target) {
    case 'primary-qemu':
      return either('nobody is silent; a guest that hangs for too long is left to the backup');
    case 'primary-proxy':
      return primary('what it held is lost as by a network, and the next epoch opens');
    case 'backup-coordinator':
    case 'backup-host':
      return primary('the primary asks to run alone');
    case 'witness':
      return primary('nobody asks it anything');
    default:
      return primary('the protection needs it only when it takes over');
  }
}

/** A cut under a registered pair. */
function byCut(name: FaultName): Expectation {
  switch (name) {
    case 'cut-pb':
      return primary('both suspect, and the backup waits longer');
    case 'cut-b-to-p':
      return primary('only the primary hears nothing');
    case 'cut-p-to-b':
      return either('the backup hears nothing; how long the primary hears it is up to TCP');
    case 'cut-primary':
      return backup('the primary cannot ask');
    case 'cut-backup':
      return primary('the backup cannot ask');
    default:
      return primary('the two still hear each other');
  }
}

/** The backup was asked to take over while the primary is well. */
function inTakeover(number: number, name: FaultName, struck: Struck): Expectation {
  const { target, brief } = struck;
  if (brief) return backup('it only delays the takeover');
  switch (target) {
    case 'backup-coordinator':
    case 'backup-host':
      return takerStruck(number, name, struck);
    case 'backup-standby':
      if (name === 'kill-backup-standby' && number >= 7)
        return stopped('it is the guest now, and there is no other');
      return backup('another standby is started, or this one goes on');
    case 'backup-proxy':
      return backup('the proxy comes back and is opened again');
    case 'witness':
      return deciderStruck(number, struck);
    case null:
      return takerCutOff(number, name);
    default:
      return backup('the backup asks alone, or is asked for by both');
  }
}

function takerStruck(number: number, name: FaultName, { lost, forever }: Struck): Expectation {
  if (number === 1) return primary('it has not asked, so the primary asks alone');
  if (!lost) return backup('its question is on its way or answered; it goes on when it wakes');
  if (name === 'kill-backup-coordinator' && number >= 7)
    return backup('its next coordinator finds the guest and the grant');
  if (forever && name === 'pause-forever-backup-coordinator' && number >= 7)
    return backup('the guest runs, and nothing holds its output');
  return stopped('it owns the machine, and is lost before it has a backup');
}

function deciderStruck(number: number, { forever }: Struck): Expectation {
  if (number >= 4) return backup('the grant is known already');
  if (forever) return stopped('both hold until the witness says which of them may run');
  if (number === 3) return backup('the grant is on disk');
  return either('both ask when it is back');
}

function takerCutOff(number: number, name: FaultName): Expectation {
  if (name !== 'cut-bw' && name !== 'cut-backup') return backup('the backup can ask');
  if (number === 1) return primary('only the primary can ask');
  if (number === 2) return either('its question arrives before the cut, or not');
  return backup('the grant is its own, and known at last when the cut ends');
}

/** The machine is unprotected; from R5 on the pair may exist. */
function inPairing(number: number, name: FaultName, struck: Struck): Expectation {
  if (number === 7 || (number >= 4 && name === 'flap-pb')) return inEpoch(name, struck);
  const { target, brief, forever } = struck;
  if (brief) return primary('nobody is silent for as long as a detection time');
  const asked = number >= 5;
  switch (target) {
    case 'primary-qemu':
      if (name !== 'kill-primary-qemu') return primary('the guest stands still for a while');
      // From R4 on the coordinator asks for the pair all the same, and what was held since the copy is never said.
      return number >= 4 ? backup('the backup has it, and will be registered') : lostAlone();
    case 'primary-host':
    case 'primary-coordinator':
      return ownerStruck(asked, name, struck);
    case 'witness':
      return forever
        ? stopped('the primary asks for the pair, or has asked: unknown is not no')
        : primary('the primary holds until the witness is back');
    case null:
      return pairingCut(number, name);
    default:
      return primary('the copy is given up, or the pair is ended again');
  }
}

function lostAlone(): Expectation {
  return stopped('it was unprotected, and is lost');
}

function ownerStruck(asked: boolean, name: FaultName, { forever }: Struck): Expectation {
  if (asked) return backup('the pair is registered, and the backup has the copy');
  if (name === 'kill-primary-host' || name === 'pause-forever-primary-host') return lostAlone();
  if (forever) return stopped('the only owner is stopped in the middle of its copy');
  return primary('no pair exists, so the backup is refused; the guest is still there');
}

function pairingCut(number: number, name: FaultName): Expectation {
  if (name === 'cut-p-to-b' && number >= 4) return byCut(name);
  if (name === 'cut-primary' && number === 5)
    return either('its question arrives before the cut, or not');
  if (name === 'cut-primary' && number === 6) return byCut(name);
  return primary('the machine is still its own, or it is the first to ask');
}
