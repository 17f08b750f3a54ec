/**
 * Tells a QEMU that hangs from one that is slow. Pure: it is asked in equal ticks. The limit is four ticks of silence; a
 * QEMU that was once silent for longer than a tick and came back is given four times that, up to forty ticks.
 *
 * Invariant: 0 ≤ worst ≤ LIMIT_MAX, and while nothing is wrong silent < limit.
 */
import assert from 'node:assert/strict';

/** The shortest limit, in ticks. */
export const TICKS = 4;
/** The longest limit, and that of the first pass, where the guest runs and its output is free. */
const LIMIT_MAX = 40;
const FACTOR = 4;

export class StallWatch {
  #silent = 0;
  #worst = 0;

  /** Ticks of silence that are a stall now. */
  limit(patient: boolean): number {
    if (patient) return LIMIT_MAX;
    return Math.min(LIMIT_MAX, Math.max(TICKS, FACTOR * this.#worst));
  }

  /**
   * A tick is over. Returns whether QEMU hangs.
   * @param owes QEMU is to send something. @param heard It did, in this tick. @param patient See LIMIT_MAX.
   */
  tick(owes: boolean, heard: boolean, patient: boolean): boolean {
    if (heard && !patient) this.#worst = Math.min(LIMIT_MAX, Math.max(this.#worst, this.#silent));
    this.#silent = owes && !heard ? this.#silent + 1 : 0;
    assert(this.#worst >= 0 && this.#worst <= LIMIT_MAX);
    return this.#silent >= this.limit(patient);
  }
}
