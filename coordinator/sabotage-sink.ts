/**
 * A deliberate defect for tests, `ack-before-commit`: the backup acknowledges a checkpoint as soon as it has received it,
 * and commits it only later. A failover in between resumes from a state whose successors were already released.
 */
import type { GuestLayout } from './checkpoint/layout.ts';
import type { Frame } from './replication/decode.ts';
import type { CheckpointSink } from './replication/sink.ts';
import type { PairIdentity } from './replication/types.ts';

const LATE_MS = 300;

export class LateSink implements CheckpointSink {
  readonly #sink: CheckpointSink;
  #said: number | undefined;
  #full = false;
  #steps: (() => void)[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(sink: CheckpointSink) {
    this.#sink = sink;
  }

  get identity(): PairIdentity | undefined {
    return this.#sink.identity;
  }

  get committed(): number | undefined {
    return this.#said ?? this.#sink.committed;
  }

  get stagedBytesMax(): number {
    return this.#sink.stagedBytesMax;
  }

  beginFull(frame: Frame, layout: GuestLayout): Promise<void> {
    this.#said = undefined;
    this.#full = true;
    return this.#sink.beginFull(frame, layout);
  }

  beginCheckpoint(frame: Frame): void {
    this.#steps = [() => this.#sink.beginCheckpoint(frame)];
  }

  pages(frame: Frame): void {
    if (this.#full) return this.#sink.pages(frame);
    this.#steps.push(() => this.#sink.pages(frame));
  }

  device(frame: Frame): void {
    if (this.#full) return this.#sink.device(frame);
    this.#steps.push(() => this.#sink.device(frame));
  }

  commit(frame: Frame): void {
    this.#said = frame.epoch;
    if (this.#full) {
      this.#full = false;
      return this.#sink.commit(frame);
    }
    const steps = [...this.#steps, () => this.#sink.commit(frame), () => this.#sink.apply()];
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      for (const step of steps) step();
    }, LATE_MS);
    this.#timers.add(timer);
  }

  /** What is acknowledged and not committed by now never will be. */
  abort(): void {
    this.#steps = [];
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#sink.abort();
  }

  apply(): void {
    // Done when the late commit is.
  }

  noteAck(): void {
    // What is acknowledged is not committed: the store would refuse to note it.
  }
}
