/**
 * Since when and why nobody else holds the state of the guest that runs here: one answer for the
 * whole time from the loss of a backup to the next pair, through every attempt in between. Pure.
 */
import type { HostState } from './arbitration/host-state.ts';

export interface Unprotected {
  /** ISO 8601. */
  readonly since: string;
  readonly why: string;
}

const UNPROTECTED: readonly string[] = ['SOLO', 'SYNC', 'SRES'];

/**
 * What is to be said of `state`.
 * @param before What was said of the state before; null at the start.
 * @param suspicion Why the peer was suspected last.
 */
export function unprotectedIn(
  state: HostState,
  before: { readonly said: Unprotected | null; readonly state: HostState } | null,
  suspicion: string,
  at: Date,
): Unprotected | null {
  if (!UNPROTECTED.includes(state.name)) return null;
  if (before?.said) return before.said;
  const since = at.toISOString();
  const peer = before?.state.peer?.host ?? 'the other host';
  switch (before?.state.name) {
    case 'PRES':
      return { since, why: `lost its backup ${peer}: ${suspicion}` };
    case 'FROZ':
    case 'BACK':
      return { since, why: `took over from ${peer}: ${suspicion}` };
    default:
      return { since, why: 'had no backup when this coordinator started' };
  }
}
