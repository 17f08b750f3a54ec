/** How long a machine that ended by itself is left alone before it is started again. Pure: `now` comes in. */

/** The first wait, and the longest; each is twice the one before. */
export const WAIT_MS_MIN = 1_000;
export const WAIT_MS_MAX = 32_000;
/** What has worked for so long begins again with the shortest wait. */
export const STEADY_MS = 60_000;

export class BackOff {
  #waitMs = 0;
  #startedAt = 0;

  started(now: number): void {
    this.#startedAt = now;
  }

  /** It has ended. @returns milliseconds until it is started again */
  ended(now: number): number {
    const steady = now - this.#startedAt >= STEADY_MS;
    this.#waitMs =
      steady || this.#waitMs === 0 ? WAIT_MS_MIN : Math.min(WAIT_MS_MAX, 2 * this.#waitMs);
    return this.#waitMs;
  }
}
