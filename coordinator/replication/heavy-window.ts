/**
 * How much heavy traffic may be unacknowledged, so that the link is never idle and the queue in front of it is short: what
 * the kernel's byte queue limits do for a network card. It grows when a look finds nothing unacknowledged although there
 * was more to send, and shrinks when looks have long found more than was needed. Pure.
 *
 * Invariant: BYTES_MIN ≤ bytes ≤ BYTES_MAX.
 */
export const BYTES_MIN = 64 << 10;
export const BYTES_MAX = 16 << 20;
const BYTES_FIRST = 256 << 10;
/** Looks after which what was never needed is given back. */
const LOOKS = 64;

export class HeavyWindow {
  #bytes = BYTES_FIRST;
  /** The least that looks have found unacknowledged since the last change. */
  #slackBytes = Number.POSITIVE_INFINITY;
  #looks = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * How much may be sent now.
   * @param limited Whether nothing but this window has kept more from being sent since the look before.
   */
  look(unackedBytes: number, limited: boolean): number {
    if (limited) this.#learn(unackedBytes);
    return Math.max(0, this.#bytes - unackedBytes);
  }

  #learn(unackedBytes: number): void {
    this.#slackBytes = Math.min(this.#slackBytes, unackedBytes);
    if (unackedBytes === 0) this.#become(this.#bytes * 1.5);
    else if (++this.#looks >= LOOKS) this.#become(this.#bytes - this.#slackBytes / 2);
  }

  #become(bytes: number): void {
    this.#bytes = Math.round(Math.min(BYTES_MAX, Math.max(BYTES_MIN, bytes)));
    this.#slackBytes = Number.POSITIVE_INFINITY;
    this.#looks = 0;
  }
}
