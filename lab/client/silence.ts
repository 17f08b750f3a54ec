/**
 * The longest silences of something that should speak all the time. Pure: instants in, intervals
 * out.
 */

export interface Silence {
  /** Wall clock of the last sign of life before it. */
  startMs: number;
  durationMs: number;
}

/**
 * Keeps the longest ones, longest first. Invariant: at most `most`, in falling order of duration.
 */
export class SilenceTracker {
  readonly #most: number;
  #last: number | undefined;
  #longest: Silence[] = [];

  /** @param most How many are kept. */
  constructor(most = 64) {
    this.#most = most;
  }

  /** A sign of life at `nowMs`; instants do not fall. */
  see(nowMs: number): void {
    if (this.#last !== undefined)
      this.#keep({ startMs: this.#last, durationMs: nowMs - this.#last });
    this.#last = nowMs;
  }

  /** The longest silences, the one that is still going on at `nowMs` among them. */
  longest(nowMs?: number): Silence[] {
    if (nowMs === undefined || this.#last === undefined) return [...this.#longest];
    const open = { startMs: this.#last, durationMs: nowMs - this.#last };
    return [...this.#longest, open]
      .sort((a, b) => b.durationMs - a.durationMs)
      .slice(0, this.#most);
  }

  #keep(silence: Silence): void {
    const shortest = this.#longest.at(-1);
    if (
      shortest &&
      this.#longest.length === this.#most &&
      shortest.durationMs >= silence.durationMs
    )
      return;
    const at = this.#longest.findIndex(other => other.durationMs < silence.durationMs);
    this.#longest.splice(at < 0 ? this.#longest.length : at, 0, silence);
    this.#longest.length = Math.min(this.#longest.length, this.#most);
  }
}
