/** What the status tells of failovers to this host: from the suspicion over the grant to a running guest. */
import type { Clock } from '../common/clock.ts';
import type { HostState } from './arbitration/host-state.ts';
import type { FailoverRecord } from './status.ts';
import { causeOf, type FailoverCause } from './suspicion.ts';

/** Failovers that the status remembers; the oldest of more is forgotten. */
const FAILOVERS_MAX = 100;

export class FailoverLog {
  /** Newest last. */
  readonly records: FailoverRecord[] = [];
  readonly #clock: Clock;
  #suspicion:
    | { reason: string; at: Date; atMs: number; silentMs: number; from: string }
    | undefined;
  #grantedAtMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A backup in `state` suspects its primary, which was last heard `silentMs` ago. */
  suspected(state: HostState, reason: string, silentMs: number): void {
    const from = state.peer?.host ?? 'unknown';
    this.#suspicion = { reason, at: new Date(), atMs: this.#clock.now(), silentMs, from };
  }

  granted(): void {
    this.#grantedAtMs = this.#clock.now();
  }

  /** The guest runs here, resumed from checkpoint `epoch`. Gives why; undefined when it was not a failover. */
  resumed({ vm, me, generation }: HostState, epoch: number): FailoverCause | undefined {
    if (!this.#suspicion) return undefined;
    const { reason, silentMs, atMs, from, at } = this.#suspicion;
    this.records.push({
      vm,
      from,
      to: me.host,
      generation,
      epoch,
      reason,
      at: at.toISOString(),
      silentMs,
      decisionMs: this.#grantedAtMs - atMs,
      resumeMs: this.#clock.now() - this.#grantedAtMs,
    });
    if (this.records.length > FAILOVERS_MAX) this.records.shift();
    return causeOf(reason);
  }
}
