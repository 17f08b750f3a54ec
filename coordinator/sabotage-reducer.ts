/** The arbitration with a deliberate defect; see sabotage.ts. Pure. */
import { type Reducer, reduce } from './arbitration/host.ts';
import type { HostEvent } from './arbitration/host-events.ts';
import { type HostState, NO_EPOCH } from './arbitration/host-state.ts';
import type { Owner, Register } from './arbitration/register.ts';
import type { Sabotage } from './sabotage.ts';

/** The reducer that this defect leaves; the true one for a defect that is elsewhere, and without one. */
export function sabotagedReducer(sabotage: Sabotage | undefined): Reducer {
  switch (sabotage) {
    case 'promote-without-grant':
      return withoutGrant('BACK');
    case 'solo-without-grant':
      return withoutGrant('PROT');
    case 'gives-up-after-pair':
      return givesUp;
    case 'ack-of-any-incarnation':
      return believesAcks;
    case 'grant-to-host':
      return readsHostOnly;
    default:
      return reduce;
  }
}

/** A host in `name` that suspects its peer acts as if it had asked and been granted. */
function withoutGrant(name: 'PROT' | 'BACK'): Reducer {
  return (state, event, incarnation) => {
    const step = reduce(state, event, incarnation);
    if (state.name !== name || event.type !== 'suspect-peer') return step;
    return step.state === state ? step : reduce(step.state, forgedGrant(step.state), incarnation);
  };
}

/** The answer that a host would like to hear. */
function forgedGrant({ vm, me, generation }: HostState): HostEvent {
  const register: Register = {
    store: 'f'.repeat(32),
    vm,
    generation: generation + 1,
    mode: 'SOLO',
    primary: me,
    backup: null,
  };
  return { type: 'register-read', register };
}

const givesUp: Reducer = (state, event, incarnation) => {
  const wants = event.type === 'give-up' || event.type === 'suspect-peer';
  if (state.name !== 'SRES' || !wants) return reduce(state, event, incarnation);
  const solo: HostState = {
    ...state,
    name: 'SOLO',
    peer: null,
    snapshot: NO_EPOCH,
    suspected: false,
  };
  return { state: solo, actions: [{ type: 'open' }] };
};

const believesAcks: Reducer = (state, event, incarnation) => {
  const peer = state.peer?.incarnation;
  const believed = event.type === 'ack' && peer ? { ...event, incarnation: peer } : event;
  return reduce(state, believed, incarnation);
};

/** Reads every register as if it named this life of the host. */
const readsHostOnly: Reducer = (state, event, incarnation) => {
  const read = event.type === 'register-read' || event.type === 'swap-answered';
  if (!read || event.register === null) return reduce(state, event, incarnation);
  const primary: Owner =
    event.register.primary.host === state.me.host ? state.me : event.register.primary;
  return reduce(state, { ...event, register: { ...event.register, primary } }, incarnation);
};
