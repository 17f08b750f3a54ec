/**
 * All TCP connections of the guest. Pure. Invariant: at most `connectionsMax`; closed ones make
 * room first.
 */
import type { TcpSegment } from './frames.ts';
import { type Offences, timeOfDay } from './offences.ts';
import { TcpConnection, type TcpCounts } from './tcp-connection.ts';

export interface TcpSummary extends TcpCounts {
  connections: number;
  contradicted: number;
  /** Connections that were not followed to their end, for want of room. */
  untracked: number;
}

export class TcpJudge {
  readonly #offences: Offences;
  readonly #connectionsMax: number;
  readonly #connections = new Map<string, TcpConnection>();
  readonly #counts: TcpCounts = {
    segments: 0,
    payloadBytes: 0,
    retransmittedBytes: 0,
    unjudgedBytes: 0,
    acksBack: 0,
    refused: 0,
  };
  #total = 0;
  #contradicted = 0;
  #untracked = 0;

  constructor(offences: Offences, connectionsMax = 64) {
    this.#offences = offences;
    this.#connectionsMax = connectionsMax;
  }

  /** A segment from the guest to `peer` (an address), seen on the host port `where`. */
  guest(segment: TcpSegment, peer: string, where: string, atMs: number): void {
    const { sourcePort, destinationPort } = segment;
    const wrong = this.#connection(sourcePort, peer, destinationPort).guest(segment);
    if (wrong === undefined) return;
    this.#contradicted++;
    this.#offences.add(
      'contradicted',
      () =>
        `TCP port ${sourcePort} to ${peer}:${destinationPort} on ${where} ` +
        `at ${timeOfDay(atMs)}: the guest ${wrong}`,
    );
  }

  /** A segment from `peer` towards the guest. */
  client(segment: TcpSegment, peer: string): void {
    this.#connection(segment.destinationPort, peer, segment.sourcePort).client(segment);
  }

  summary(): TcpSummary {
    return {
      ...this.#counts,
      connections: this.#total,
      contradicted: this.#contradicted,
      untracked: this.#untracked,
    };
  }

  #connection(guestPort: number, peer: string, peerPort: number): TcpConnection {
    const key = `${guestPort} ${peer} ${peerPort}`;
    let connection = this.#connections.get(key);
    if (!connection) {
      if (this.#connections.size >= this.#connectionsMax) this.#makeRoom();
      this.#total++;
      connection = new TcpConnection(this.#counts);
      this.#connections.set(key, connection);
    }
    return connection;
  }

  #makeRoom(): void {
    for (const [key, connection] of this.#connections) {
      if (!connection.closed) continue;
      this.#connections.delete(key);
      return;
    }
    const oldest = this.#connections.keys().next().value!;
    this.#connections.delete(oldest);
    this.#untracked++;
  }
}
