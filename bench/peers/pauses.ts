/** How long a guest stood still for each checkpoint, from its QEMU's own STOP and RESUME. Pure. */
import type { QmpEvent } from '../../common/qmp/messages.ts';

/** Invariant: every pause has ended; one that goes on is not among them. */
export class PauseMeter {
  #pausesMs: number[] = [];
  #stoppedUs: number | undefined;

  see({ event, timestamp }: QmpEvent): void {
    const us = timestamp.seconds * 1e6 + timestamp.microseconds;
    if (event === 'STOP') this.#stoppedUs = us;
    if (event !== 'RESUME' || this.#stoppedUs === undefined) return;
    this.#pausesMs.push((us - this.#stoppedUs) / 1000);
    this.#stoppedUs = undefined;
  }

  /** The pauses that ended since the last call, in milliseconds. */
  take(): number[] {
    const taken = this.#pausesMs;
    this.#pausesMs = [];
    return taken;
  }

  /** Forgets all, also a pause that goes on. */
  forget(): void {
    this.#pausesMs = [];
    this.#stoppedUs = undefined;
  }
}
