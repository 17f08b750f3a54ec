/**
 * The states of a host that runs the guest, or has just lost it: PROT, PRES, SOLO, SYNC, SRES,
 * HALT.
 */
import assert from 'node:assert/strict';
import type { HostAction, HostNotice, StateEvent, Step } from './host-events.ts';
import { emptyState, grantsSolo, type HostState, holds, NO_EPOCH } from './host-state.ts';
import { type Register, type SwapRequest, sameOwner } from './register.ts';

type HostStep = Step<HostState>;

const HELD_TEXT =
  'output is held: no backup, and the policy is hold; it leaves with the next pair, or by unprotect';

/** Nothing changes and nothing is to do. */
export function ignore(state: HostState): HostStep {
  return { state, actions: [] };
}

/**
 * What a grant to run alone opens: everything, or under policy `hold` nothing. Either way a
 * protection under way is over.
 */
export function openOrHold(state: HostState, reason: string): HostAction[] {
  if (!state.held) return [{ type: 'open' }, notice('unprotected', reason)];
  return [{ type: 'end-protection' }, notice('held', `${reason}; ${HELD_TEXT}`)];
}

/** Tells the operator. */
export function notice(what: HostNotice, reason: string): HostAction {
  return { type: 'notify', notice: what, reason };
}

/** The question for SOLO: by the primary in PRES, by the backup in FROZ. */
export function soloRequest(state: HostState): SwapRequest {
  const transition = state.name === 'FROZ' ? 'solo-by-backup' : 'solo-by-primary';
  return { vm: state.vm, generation: state.generation, transition, by: state.me };
}

function pairRequest(state: HostState): SwapRequest {
  assert(state.name === 'SRES' && state.peer, 'pair is asked for in SRES');
  const { vm, generation, me, peer } = state;
  return { vm, generation, transition: 'pair', by: me, backup: peer };
}

/** PROT and PRES: they differ only in whether the question for SOLO is out. */
export function reduceProtected(state: HostState, event: StateEvent): HostStep {
  switch (event.type) {
    case 'ack': {
      // Bound to generation and incarnation: an ack of an earlier life of the same host proves
      // nothing about this one.
      const counts =
        event.generation === state.generation && event.incarnation === state.peer?.incarnation;
      return counts ? acknowledged(state, event.epoch) : ignore(state);
    }
    case 'suspect-peer':
      return state.name === 'PROT' && isPeer(state, event.incarnation)
        ? suspect(state, event.reason)
        : ignore(state);
    case 'register-known': {
      const { register } = event;
      if (state.name === 'PRES' && grantsSolo(state, register)) return goSolo(state, register);
      return haltIfNewer(state, register);
    }
    case 'retry':
      if (state.name === 'PROT') return ignore(state);
      return { state, actions: [{ type: 'swap', request: soloRequest(state) }] };
    case 'guest-lost':
      return halt(state, event.reason);
    default:
      return refuse(state, event);
  }
}

/**
 * SOLO: only its own `pair` can end this grant; a newer register is a contradiction, and stops the
 * guest.
 */
export function reduceSolo(state: HostState, event: StateEvent): HostStep {
  switch (event.type) {
    case 'protect-requested': {
      assert(state.running, 'a guest that does not run cannot be copied');
      const snapshot = event.snapshot;
      assert(
        snapshot > state.lastEpoch,
        `epoch ${snapshot} was used; ${state.lastEpoch} is newest`,
      );
      const next: HostState = {
        ...state,
        name: 'SYNC',
        snapshot,
        acked: NO_EPOCH,
        // What was held in SOLO is in this copy, and leaves when the pair stands.
        released: state.held ? state.released : snapshot,
        lastEpoch: snapshot,
      };
      const hold: HostAction = { type: 'hold', epoch: snapshot + 1 };
      return { state: next, actions: [hold, notice('protecting', `full copy ${snapshot}`)] };
    }
    case 'resumed': {
      if (state.running) return ignore(state);
      const text = `runs on from checkpoint ${state.committed}`;
      const next = { ...state, running: true, resumeFailed: false };
      const actions: HostAction[] = state.held
        ? [notice('failed-over', text), notice('held', HELD_TEXT)]
        : [{ type: 'open' }, notice('failed-over', text)];
      return { state: next, actions };
    }
    case 'open-requested': {
      if (!state.held) return ignore(state);
      const next: HostState = { ...state, held: false };
      // A guest that does not run yet has said nothing: `resumed` opens.
      return state.running
        ? { state: next, actions: openOrHold(next, 'the operator ended protection') }
        : ignore(next);
    }
    case 'guest-lost':
      // Before the first resume succeeded nothing has left, so the same checkpoint can be tried
      // again.
      if (state.running) return halt(state, event.reason);
      return {
        state: { ...state, resumeFailed: true },
        actions: [notice('resume-failed', event.reason)],
      };
    case 'retry': {
      if (!state.resumeFailed) return ignore(state);
      const resume: HostAction = { type: 'resume-guest', from: state.committed };
      return {
        state: { ...state, resumeFailed: false },
        actions: [{ type: 'discard-output' }, resume],
      };
    }
    case 'register-known':
      return haltIfNewer(state, event.register);
    default:
      return refuse(state, event);
  }
}

/**
 * SYNC: a suspicion is a reason to give up, which is harmless as long as `pair` was not asked for.
 */
export function reduceSync(state: HostState, event: StateEvent): HostStep {
  switch (event.type) {
    case 'full-acked': {
      const counts =
        event.generation === state.generation + 1 &&
        event.epoch === state.snapshot &&
        event.from.host !== state.me.host;
      if (!counts) return ignore(state);
      const next: HostState = { ...state, name: 'SRES', peer: event.from, acked: event.epoch };
      return { state: next, actions: [{ type: 'swap', request: pairRequest(next) }] };
    }
    case 'give-up':
    case 'suspect-peer': {
      const next: HostState = { ...state, name: 'SOLO', snapshot: NO_EPOCH };
      const [first] = openOrHold(next, '') as [HostAction];
      return { state: next, actions: [first, notice('protection-failed', event.reason)] };
    }
    case 'register-known':
      return haltIfNewer(state, event.register);
    case 'guest-lost':
      return halt(state, event.reason);
    default:
      return refuse(state, event);
  }
}

/**
 * SRES: holds on until the register says whether the pair exists; `give-up` comes too late here.
 */
export function reduceSres(state: HostState, event: StateEvent): HostStep {
  switch (event.type) {
    case 'ack': {
      // Checkpoints after the copy may be sent already. Their acks are facts, but count only once
      // the pair exists.
      const counts =
        event.generation === state.generation + 1 && event.incarnation === state.peer?.incarnation;
      if (!counts || event.epoch <= state.acked) return ignore(state);
      return ignore({
        ...state,
        acked: event.epoch,
        lastEpoch: Math.max(state.lastEpoch, event.epoch),
      });
    }
    case 'suspect-peer':
      return ignore(isPeer(state, event.incarnation) ? { ...state, suspected: true } : state);
    case 'register-known': {
      const { register } = event;
      return pairs(state, register) ? goProtected(state, register) : haltIfNewer(state, register);
    }
    case 'retry':
      return { state, actions: [{ type: 'swap', request: pairRequest(state) }] };
    case 'guest-lost':
      return halt(state, event.reason);
    default:
      return refuse(state, event);
  }
}

/** HALT: nothing but the end of the guest leads on. */
export function reduceHalt(
  state: HostState,
  event: StateEvent,
  newIncarnation: () => string,
): HostStep {
  switch (event.type) {
    case 'guest-stopped':
      return dropState(state, newIncarnation(), 'the guest is stopped');
    case 'retry':
      return { state, actions: [{ type: 'stop-guest' }, { type: 'discard-output' }] };
    default:
      return ignore(state);
  }
}

/** Forgets everything and begins a new life, which nobody has granted or promised anything. */
export function dropState(state: HostState, incarnation: string, reason: string): HostStep {
  const next = emptyState(state.vm, { host: state.me.host, incarnation }, state.onBackupLoss);
  return { state: next, actions: [{ type: 'drop-state', incarnation }, notice('dropped', reason)] };
}

/** Whether a suspicion is about the peer of this state. */
export function isPeer(state: HostState, incarnation: string | undefined): boolean {
  return incarnation === undefined || incarnation === state.peer?.incarnation;
}

/** Stops for good. The proxy fails closed first when it was open. */
export function halt(state: HostState, reason: string): HostStep {
  const actions: HostAction[] = [{ type: 'stop-guest' }, { type: 'discard-output' }];
  if (state.name === 'SOLO') actions.unshift({ type: 'hold', epoch: null });
  const next: HostState = {
    ...state,
    name: 'HALT',
    peer: null,
    snapshot: NO_EPOCH,
    running: false,
    held: false,
    suspected: false,
    resumeFailed: false,
  };
  return { state: next, actions: [...actions, notice('halted', reason)] };
}

function acknowledged(state: HostState, epoch: number): HostStep {
  if (epoch <= state.acked) return ignore(state);
  const lastEpoch = Math.max(state.lastEpoch, epoch);
  const next: HostState = { ...state, acked: epoch, released: epoch, lastEpoch };
  return { state: next, actions: [{ type: 'release', epoch }] };
}

function suspect(state: HostState, reason: string): HostStep {
  const next: HostState = { ...state, name: 'PRES' };
  const actions: HostAction[] = [
    { type: 'swap', request: soloRequest(next) },
    notice('suspecting', reason),
  ];
  return { state: next, actions };
}

function goSolo(state: HostState, register: Register): HostStep {
  const next: HostState = {
    ...state,
    name: 'SOLO',
    generation: register.generation,
    peer: null,
    acked: NO_EPOCH,
    held: holds(state),
  };
  const text = `generation ${register.generation} is granted to this host alone`;
  return { state: next, actions: openOrHold(next, text) };
}

function pairs(state: HostState, register: Register): boolean {
  return (
    register.generation === state.generation + 1 &&
    register.mode === 'PAIR' &&
    sameOwner(register.primary, state.me) &&
    sameOwner(register.backup, state.peer)
  );
}

function goProtected(state: HostState, register: Register): HostStep {
  const next: HostState = {
    ...state,
    name: 'PROT',
    generation: register.generation,
    snapshot: NO_EPOCH,
    released: state.acked,
    held: false,
    suspected: false,
  };
  const actions: HostAction[] = [];
  if (state.acked > state.released) actions.push({ type: 'release', epoch: state.acked });
  actions.push(notice('protected', `by ${register.backup?.host}`));
  if (!state.suspected) return { state: next, actions };
  const suspected = suspect(next, 'the backup was suspected before the pair was registered');
  return { state: suspected.state, actions: [...actions, ...suspected.actions] };
}

function haltIfNewer(state: HostState, register: Register): HostStep {
  if (register.generation <= state.generation) return ignore(state);
  const { generation, mode, primary } = register;
  return halt(state, `generation ${generation} is ${mode} and belongs to ${primary.host}`);
}

/** What a state has no use for: late, or the shell's mistake. */
export function refuse(state: HostState, event: StateEvent): HostStep {
  const mistake = event.type === 'protect-requested' || event.type === 'checkpoint-committed';
  assert(!mistake, `${event.type} has no meaning in ${state.name}`);
  return ignore(state);
}
