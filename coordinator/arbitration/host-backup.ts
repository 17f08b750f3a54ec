/** The states of a host that does not run the guest: JOIN, BACK, FROZ. */
import assert from 'node:assert/strict';
import type { HostAction, RegisterKnown, StateEvent, Step } from './host-events.ts';
import { dropState, ignore, isPeer, notice, refuse, soloRequest } from './host-primary.ts';
import { grantsSolo, type HostState, holds, NO_EPOCH } from './host-state.ts';
import { type Register, sameOwner } from './register.ts';

type HostStep = Step<HostState>;

/**
 * JOIN: a full copy addressed to this very incarnation is the only way out; late events of a former
 * life pass by.
 */
export function reduceJoin(state: HostState, event: StateEvent): HostStep {
  if (event.type !== 'full-received') return ignore(state);
  if (event.to !== state.me.incarnation || event.from.host === state.me.host) return ignore(state);
  const { generation, epoch, from } = event;
  const next: HostState = {
    ...state,
    name: 'BACK',
    generation,
    peer: from,
    committed: epoch,
    lastEpoch: epoch,
  };
  return {
    state: next,
    actions: [sendAck(next, epoch), notice('copy-complete', `epoch ${epoch} of ${from.host}`)],
  };
}

/**
 * BACK: acks what is committed, until it suspects the primary or is no longer the registered
 * backup.
 */
export function reduceBack(
  state: HostState,
  event: StateEvent,
  newIncarnation: () => string,
): HostStep {
  switch (event.type) {
    case 'checkpoint-committed': {
      const next = committed(state, event.generation, event.epoch);
      if (next === null) return ignore(state);
      return { state: next, actions: [sendAck(next, next.committed)] };
    }
    case 'full-received': {
      // The same copy again: its ack was lost.
      const again =
        event.generation === state.generation &&
        event.to === state.me.incarnation &&
        sameOwner(event.from, state.peer) &&
        event.epoch <= state.committed;
      return again ? { state, actions: [sendAck(state, event.epoch)] } : ignore(state);
    }
    case 'suspect-peer': {
      if (!isPeer(state, event.incarnation)) return ignore(state);
      const next: HostState = { ...state, name: 'FROZ' };
      const swap: HostAction = { type: 'swap', request: soloRequest(next) };
      return { state: next, actions: [swap, notice('freezing', event.reason)] };
    }
    case 'register-known': {
      const { register } = event;
      // Only a question from before a restart of this program can have been granted; every ack sent
      // since then is of an epoch that is committed here, so running on from the newest contradicts
      // nothing.
      if (grantsSolo(state, register)) return promote(state, register);
      return displaced(state, register)
        ? dropState(state, newIncarnation(), displacedText(register))
        : ignore(state);
    }
    default:
      return refuse(state, event);
  }
}

/** FROZ: acks nothing, whatever comes, until the register says who may run. */
export function reduceFroz(
  state: HostState,
  event: StateEvent,
  newIncarnation: () => string,
): HostStep {
  switch (event.type) {
    case 'checkpoint-committed': {
      // Its commit was under way when the freeze came. Newer is better, and without an ack nobody
      // relies on it.
      const next = committed(state, event.generation, event.epoch);
      return ignore(next ?? state);
    }
    case 'register-known': {
      const { register } = event;
      if (grantsSolo(state, register)) return promote(state, register);
      if (displaced(state, register) || (!state.repeated && unpaired(state, event)))
        return dropState(state, newIncarnation(), displacedText(register));
      return ignore(state);
    }
    case 'never-paired': {
      const { from, generation, epoch } = event;
      // An earlier epoch: it asked before it sent this copy, and may have asked for the pair since.
      const after = generation < state.generation && epoch >= state.committed;
      const never = sameOwner(from, state.peer) && after;
      const text = `${from.host} runs alone in generation ${generation}`;
      return never ? dropState(state, newIncarnation(), text) : ignore(state);
    }
    case 'retry': {
      const swap: HostAction = { type: 'swap', request: soloRequest(state) };
      return { state: { ...state, repeated: true }, actions: [swap] };
    }
    default:
      return refuse(state, event);
  }
}

/** The state with `epoch` committed; null for a checkpoint of another generation, which is late. */
function committed(state: HostState, generation: number, epoch: number): HostState | null {
  if (generation !== state.generation) return null;
  assert(epoch <= state.committed + 1, `epoch ${epoch} was committed over a gap`);
  const newest = Math.max(state.committed, epoch);
  return { ...state, committed: newest, lastEpoch: newest };
}

/** Whether the register has gone on without this host, or names another backup. */
function displaced(state: HostState, register: Register): boolean {
  if (register.generation > state.generation) return true;
  return register.generation === state.generation && !sameOwner(register.backup, state.me);
}

/**
 * Whether the answer to this host's own question shows that its pair was never registered. A plain
 * read could be older than the pair, so only an answer counts that the witness gave after the
 * question was asked.
 */
function unpaired(state: HostState, { register, answers }: RegisterKnown): boolean {
  return (
    answers?.transition === 'solo-by-backup' &&
    answers.generation === state.generation &&
    sameOwner(answers.by, state.me) &&
    register.generation === state.generation - 1
  );
}

function displacedText(register: Register): string {
  const { generation, mode, primary, backup } = register;
  const partner = backup ? ` with ${backup.host}` : '';
  return `generation ${generation} is ${mode} of ${primary.host}${partner}`;
}

function promote(state: HostState, register: Register): HostStep {
  const next: HostState = {
    ...state,
    name: 'SOLO',
    generation: register.generation,
    peer: null,
    repeated: false,
    acked: NO_EPOCH,
    released: state.committed,
    held: holds(state),
    running: false,
  };
  const text = `generation ${register.generation} is granted to this host`;
  return {
    state: next,
    actions: [{ type: 'resume-guest', from: state.committed }, notice('promoted', text)],
  };
}

function sendAck(state: HostState, epoch: number): HostAction {
  assert(state.name === 'BACK' && state.peer, 'only a backup acks');
  assert(epoch <= state.committed, 'only what is committed is acked');
  return { type: 'send-ack', generation: state.generation, epoch, to: state.peer };
}
