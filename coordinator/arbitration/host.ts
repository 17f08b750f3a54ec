/**
 * The host state machine: (state, event) → (state, actions). Pure; see host-state.ts for the
 * states.
 *
 * Assertions, because only this host's own shell can cause them: `protect-requested` where the host
 * is protected, being protected, a backup or not running, or with an epoch that was used before;
 * `checkpoint-committed` where the host is a primary, or with a gap. Everything else that does not
 * fit is late, and ignored.
 */
import assert from 'node:assert/strict';
import { reduceBack, reduceFroz, reduceJoin } from './host-backup.ts';
import type { HostEvent, StateEvent, Step } from './host-events.ts';
import { reduceHalt, reduceProtected, reduceSolo, reduceSres, reduceSync } from './host-primary.ts';
import { assertState, type HostState, type HostStateName } from './host-state.ts';

/** Draws an incarnation that was never drawn before. */
export type IncarnationSource = () => string;

export type Reducer = (
  state: HostState,
  event: HostEvent,
  newIncarnation: IncarnationSource,
) => Step<HostState>;

type StateReducer = (
  state: HostState,
  event: StateEvent,
  newIncarnation: IncarnationSource,
) => Step<HostState>;

const REDUCERS: Readonly<Record<HostStateName, StateReducer>> = {
  PROT: reduceProtected,
  PRES: reduceProtected,
  SOLO: reduceSolo,
  SYNC: reduceSync,
  SRES: reduceSres,
  BACK: reduceBack,
  FROZ: reduceFroz,
  HALT: reduceHalt,
  JOIN: reduceJoin,
};

/**
 * Takes one event.
 * @param newIncarnation Called exactly when a `drop-state` comes out.
 */
export function reduce(
  state: HostState,
  event: HostEvent,
  newIncarnation: IncarnationSource,
): Step<HostState> {
  if (event.type === 'doubt') {
    const nothingToLose = state.name === 'HALT' || state.name === 'JOIN';
    return { state, actions: nothingToLose ? [] : [{ type: 'read-register' }] };
  }
  const inner = stateEvent(event);
  // An absent register decides nothing: it was there before, so it was lost, or forgotten by an
  // operator who says that no guest runs.
  if (inner === null) return { state, actions: [] };
  const step = REDUCERS[state.name](state, inner, newIncarnation);
  const next = step.state;
  if (next === state) return step;
  assertState(next);
  const newLife = next.me.incarnation !== state.me.incarnation;
  assert(newLife === (next.name === 'JOIN'), 'an incarnation ends exactly by dropping its state');
  assert(newLife || next.generation >= state.generation, 'a generation never decreases');
  assert(newLife || next.released >= state.released, 'what was released stays released');
  return step;
}

function stateEvent(event: Exclude<HostEvent, { type: 'doubt' }>): StateEvent | null {
  if (event.type !== 'register-read' && event.type !== 'swap-answered') return event;
  if (event.register === null) return null;
  const answers = event.type === 'swap-answered' ? event.request : null;
  return { type: 'register-known', register: event.register, answers };
}
