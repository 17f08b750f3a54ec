/** The first state of a host, from what the register says. Pure. */
import { CurlingError } from '../../common/errors.ts';
import { type IncarnationSource, reduce } from './host.ts';
import type { Step } from './host-events.ts';
import { dropState, halt, openOrHold } from './host-primary.ts';
import {
  assertState,
  type BackupLossPolicy,
  emptyState,
  type HostState,
  holds,
  NO_EPOCH,
} from './host-state.ts';
import { type Owner, type Register, type SwapRequest, sameOwner } from './register.ts';

/** What a starting coordinator knows. */
export interface StartOptions {
  readonly vm: string;
  /**
   * Its host, and the incarnation of its former life if all of that life's state is intact; else a
   * new one.
   */
  readonly me: Owner;
  /** The register as just read; null when it is absent. */
  readonly register: Register | null;
  /** Whether a guest of this VM executes on this host. */
  readonly guestRuns: boolean;
  /** The newest checkpoint of an intact, verified store of this same incarnation. */
  readonly committed?: number;
  /** The newest epoch number that the proxy or the store knows. */
  readonly lastEpoch?: number;
  /**
   * The `pair` that the former life asked for, written down before it was sent, with its snapshot.
   * It may still be on its way to the witness: without this note a primary must not come back in
   * the same incarnation.
   */
  readonly unresolvedPair?: { readonly request: SwapRequest; readonly snapshot: number };
  /** What a primary without a backup does with its output; default `continue`. */
  readonly onBackupLoss?: BackupLossPolicy;
}

/** The request that creates the register, with `by` as the owner of its first generation. */
export function createRequest(vm: string, by: Owner): SwapRequest {
  return { vm, generation: 0, transition: 'create', by };
}

/**
 * The state to start in and what to do first.
 *
 * Named as the primary of a pair: SOLO is asked for at once, since acks may have been missed. Named
 * as the only owner: output opens, or under policy `hold` stays held. Named as the backup with an intact store: goes on as backup.
 * Anything else: a guest that runs here is stopped (HALT), and without one the host begins empty
 * (JOIN).
 * @throws CurlingError CURLING_REGISTER when a guest runs but no register exists.
 */
export function initialState(
  options: StartOptions,
  newIncarnation: IncarnationSource,
): Step<HostState> {
  const { register, vm, guestRuns } = options;
  if (register === null && guestRuns) {
    const text =
      `the witness has no register for ${vm}; ` +
      'create it on the one host whose guest is the true one';
    throw new CurlingError('CURLING_REGISTER', text);
  }
  const step = startStep(options, newIncarnation);
  assertState(step.state);
  return step;
}

function startStep(options: StartOptions, newIncarnation: IncarnationSource): Step<HostState> {
  const { register, me, guestRuns } = options;
  if (register && sameOwner(register.primary, me)) {
    return register.mode === 'PAIR'
      ? startPaired(options, register, newIncarnation)
      : startSolo(options, register);
  }
  const committed = options.committed ?? NO_EPOCH;
  if (register && sameOwner(register.backup, me) && committed >= 0 && !guestRuns) {
    const lastEpoch = Math.max(committed, options.lastEpoch ?? NO_EPOCH);
    const peer = register.primary;
    const state = {
      ...base(options, register, 'BACK'),
      peer,
      committed,
      lastEpoch,
      running: false,
    };
    return { state, actions: [] };
  }
  if (register && guestRuns)
    return halt(base(options, register, 'PROT'), `${register.primary.host} owns the guest`);
  const empty = emptyState(options.vm, me, options.onBackupLoss);
  return dropState(empty, newIncarnation(), 'starts empty');
}

function startPaired(
  options: StartOptions,
  register: Register,
  newIncarnation: IncarnationSource,
): Step<HostState> {
  const state = { ...base(options, register, 'PROT'), peer: register.backup };
  return options.guestRuns
    ? reduce(state, { type: 'suspect-peer', reason: 'this coordinator restarted' }, newIncarnation)
    : halt(state, 'its guest is gone; the backup may take over');
}

function startSolo(options: StartOptions, register: Register): Step<HostState> {
  const pair = options.unresolvedPair;
  const started = base(options, register, 'SOLO');
  const solo: HostState = { ...started, held: options.guestRuns && holds(started) };
  // Resuming from a checkpoint here could contradict what the guest said since: nobody wrote down
  // that it said nothing.
  if (!options.guestRuns) return halt(solo, 'its guest is gone, and it was the only one');
  if (pair?.request.backup && pair.request.generation === register.generation) {
    const { request, snapshot } = pair;
    const state: HostState = {
      ...solo,
      name: 'SRES',
      peer: pair.request.backup,
      snapshot,
      acked: snapshot,
      released: solo.held ? NO_EPOCH : snapshot,
      lastEpoch: Math.max(snapshot, solo.lastEpoch),
      suspected: true,
    };
    return { state, actions: [{ type: 'swap', request }] };
  }
  const text = `generation ${register.generation} is granted to this host alone`;
  const actions = openOrHold(solo, text);
  // An earlier life may have opened it by the operator's word, or under another policy.
  return {
    state: solo,
    actions: solo.held ? [{ type: 'hold', epoch: null }, ...actions] : actions,
  };
}

function base(options: StartOptions, register: Register, name: HostState['name']): HostState {
  return {
    ...emptyState(options.vm, options.me, options.onBackupLoss),
    name,
    generation: register.generation,
    lastEpoch: options.lastEpoch ?? NO_EPOCH,
    running: true,
  };
}
