/** Who is at the other end of a connection, as far as its handshake has proven it. */
import { CurlingError } from '../errors.ts';

export interface Peer {
  /** For messages. */
  readonly name: string;
  /** Whether it may say that it is this host. */
  is(host: string): boolean;
}

/** The other end of a connection without authentication: who can reach us is believed. */
export const UNPROVEN: Peer = { name: 'not authenticated', is: () => true };

/** A peer that has proven one of these names. */
export function provenPeer(names: Iterable<string>): Peer {
  const proven = new Set(names);
  return { name: [...proven].join(' or ') || 'nobody', is: host => proven.has(host) };
}

/**
 * @param claim Who says so, e.g. `HELLO`.
 * @throws CurlingError CURLING_IDENTITY when the peer claims to be another host than it has proven.
 */
export function checkPeer(peer: Peer, host: string, claim: string): void {
  if (peer.is(host)) return;
  const text =
    `${claim} is of host ${host}, the connection of ${peer.name}; ` +
    '--host must be the name in the key file or certificate';
  throw new CurlingError('CURLING_IDENTITY', text);
}
