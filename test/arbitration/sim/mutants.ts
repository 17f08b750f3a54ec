/**
 * Sabotaged builds. Each breaks one rule in one place; the exploration must find every one of them.
 */
import type { Reducer } from '../../../coordinator/arbitration/host.ts';
import type { HostEvent } from '../../../coordinator/arbitration/host-events.ts';
import { type HostState, NO_EPOCH } from '../../../coordinator/arbitration/host-state.ts';
import type { Owner, Register } from '../../../coordinator/arbitration/register.ts';
import type { Mutation } from './mutation.ts';

/** The answer that a host would like to hear. */
function forgedGrant(state: HostState): HostEvent {
  const register: Register = {
    store: 'f'.repeat(32),
    vm: state.vm,
    generation: state.generation + 1,
    mode: 'SOLO',
    primary: state.me,
    backup: null,
  };
  return { type: 'register-read', register };
}

/** A host in `name` that suspects its peer acts as if it had asked and been granted. */
function withoutGrant(name: 'PROT' | 'BACK'): Mutation {
  return {
    reduce: base => (state, event, incarnation) => {
      const step = base(state, event, incarnation);
      if (state.name !== name || event.type !== 'suspect-peer') return step;
      return base(step.state, forgedGrant(step.state), incarnation);
    },
  };
}

function sameHostIsMe(owner: Owner | null, me: Owner): Owner | null {
  return owner?.host === me.host ? me : owner;
}

/** Reads every register as if it named this life of the host. */
const readsHostOnly = (base: Reducer): Reducer => {
  return (state, event, incarnation) => {
    if (event.type !== 'register-read' && event.type !== 'swap-answered')
      return base(state, event, incarnation);
    if (event.register === null) return base(state, event, incarnation);
    const primary = sameHostIsMe(event.register.primary, state.me) as Owner;
    const register = { ...event.register, primary };
    return base(state, { ...event, register }, incarnation);
  };
};

export const MUTANTS: Readonly<Record<string, Mutation>> = {
  'releases before the ack': { emitsUnacked: true },
  'acks before the commit': { ackOnArrival: true },
  'promotes without a grant': withoutGrant('BACK'),
  'goes solo without a grant': withoutGrant('PROT'),
  'keeps emitting during re-protection': {
    reduce: base => (state, event, incarnation) => {
      const step = base(state, event, incarnation);
      return { ...step, actions: step.actions.filter(action => action.type !== 'hold') };
    },
  },
  'grants go to the host, not to its incarnation': {
    reduce: readsHostOnly,
    apply: base => (register, request, store) => {
      const primary = register && sameHostIsMe(register.primary, request.by);
      const backup = register && sameHostIsMe(register.backup, request.by);
      const result = base(
        register && primary ? { ...register, primary, backup } : register,
        request,
        store,
      );
      return result.swapped ? result : { swapped: false, register };
    },
  },
  'emits the last committed epoch again': { reEmitsLast: true },
  'gives up after it asked for the pair': {
    reduce: base => (state, event, incarnation) => {
      if (state.name !== 'SRES' || event.type !== 'give-up') return base(state, event, incarnation);
      const solo: HostState = {
        ...state,
        name: 'SOLO',
        peer: null,
        snapshot: NO_EPOCH,
        suspected: false,
      };
      return { state: solo, actions: [{ type: 'open' }] };
    },
  },
  'counts the acks of any incarnation': {
    reduce: base => (state, event, incarnation) => {
      const peer = state.peer?.incarnation;
      const believed = event.type === 'ack' && peer ? { ...event, incarnation: peer } : event;
      return base(state, believed, incarnation);
    },
  },
  'forgets in a restart that it asked for a pair': { forgetsPair: true },
  'keeps a copy that was never paired': {
    reduce: base => (state, event, incarnation) => {
      const older =
        event.type === 'swap-answered' && (event.register?.generation ?? 0) < state.generation;
      if (state.name === 'FROZ' && older) return { state, actions: [] };
      return base(state, event, incarnation);
    },
  },
  'opens under policy hold': {
    reduce: base => (state, event, incarnation) => {
      const step = base(state, event, incarnation);
      const actions = step.actions.map(action =>
        action.type === 'end-protection' ? { type: 'open' as const } : action,
      );
      return { ...step, actions };
    },
  },
  'lets go of what was held when the copy is taken': {
    reduce: base => (state, event, incarnation) => {
      const step = base(state, event, incarnation);
      if (event.type !== 'protect-requested') return step;
      return { ...step, actions: [...step.actions, { type: 'release', epoch: event.snapshot }] };
    },
  },
  'lets a swap of any generation pass': {
    apply: base => (register, request, store) =>
      base(register, { ...request, generation: register?.generation ?? 0 }, store),
  },
};
