/** Why a backup suspects its primary: the words for an operator, and the few causes that failovers are counted by. Pure. */

export const ASKED_FOR = 'the operator asked for it';
const SILENT = 'the primary was silent for ';
const SAYS = 'the primary says: ';

/**
 * - `silence`: the primary was not heard for as long as `--detection` says
 * - `connection`: its connection broke
 * - `guest`: it said that its guest is gone, or hangs
 * - `operator`: somebody asked for it, on either host
 */
export const FAILOVER_CAUSES = ['silence', 'connection', 'guest', 'operator'] as const;
export type FailoverCause = (typeof FAILOVER_CAUSES)[number];

export function silentFor(silentMs: number): string {
  return `${SILENT}${silentMs.toFixed(0)} ms`;
}

/** The primary told this itself. */
export function primarySays(reason: string): string {
  return SAYS + reason;
}

/** The cause behind the words. */
export function causeOf(reason: string): FailoverCause {
  if (reason === ASKED_FOR || reason === primarySays(ASKED_FOR)) return 'operator';
  if (reason.startsWith(SAYS)) return 'guest';
  return reason.startsWith(SILENT) ? 'silence' : 'connection';
}
