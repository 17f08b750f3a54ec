/**
 * Every change of a host's state that there is, as (from, event, to). The production code is held to
 * it by the random exploration, which must see each row and nothing else; the model by a comparison
 * with its MOVEs. So neither can change without the other.
 */
import type { HostEvent } from '../../../coordinator/arbitration/host-events.ts';
import type { HostState, HostStateName } from '../../../coordinator/arbitration/host-state.ts';

/** `register`: it was learnt, by a read or an answer. `start`: a coordinator takes its place. */
export interface TransitionRow {
  readonly from: HostStateName | 'START';
  readonly event:
    | Exclude<HostEvent['type'], 'register-read' | 'swap-answered'>
    | 'register'
    | 'start';
  readonly to: HostStateName;
}

const TABLE = `
  START start PRES            SOLO protect-requested SYNC
  START start SOLO
  START start SRES            SOLO guest-lost HALT
  START start HALT            SYNC full-acked SRES
  START start JOIN            SYNC give-up SOLO
  START start BACK            SYNC suspect-peer SOLO
  PROT suspect-peer PRES
  PROT register HALT          SYNC guest-lost HALT
  PROT guest-lost HALT        SRES register PROT
  PRES register SOLO          SRES register PRES
  PRES register HALT          SRES register HALT
  PRES guest-lost HALT        SRES guest-lost HALT
  JOIN full-received BACK     FROZ register SOLO
  BACK suspect-peer FROZ      FROZ register JOIN
  BACK register SOLO          HALT guest-stopped JOIN
  BACK register JOIN          FROZ never-paired JOIN
`;

/** Only after an operator had the register of a running machine forgotten and created anew. */
const FORGOTTEN = `
  SOLO register HALT          SYNC register HALT
`;

function rows(table: string): readonly TransitionRow[] {
  const found = [...table.matchAll(/([A-Z]+) ([a-z-]+) ([A-Z]+)/g)];
  return found.map(([, from, event, to]) => ({ from, event, to }) as TransitionRow);
}

/** Those that faults alone lead to. */
export const TRANSITIONS = rows(TABLE);
/** Those that need an operator's mistake besides. */
export const MISTAKES = rows(FORGOTTEN);

export function rowText({ from, event, to }: TransitionRow): string {
  return `${from} + ${event} → ${to}`;
}

/** The row of a step; none when the state keeps its name. */
export function rowsOf(before: HostState, event: HostEvent, after: HostState): TransitionRow[] {
  if (before.name === after.name) return [];
  const register = event.type === 'register-read' || event.type === 'swap-answered';
  return [{ from: before.name, event: register ? 'register' : event.type, to: after.name }];
}
