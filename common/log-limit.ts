let suppressed = 0;

/** Lines that all limits of this process have left out. */
export function suppressedLines(): number {
  return suppressed;
}

/**
 * Bounds the rate of lines that others can cause. Pure: `now` in, a decision out.
 * Invariant: at most `max` lines in each period of `periodMs`.
 */
export class LogLimit {
  readonly #max: number;
  readonly #periodMs: number;
  #periodAtMs = Number.NEGATIVE_INFINITY;
  #said = 0;
  #unsaid = 0;

  constructor(max: number, periodMs: number) {
    this.#max = max;
    this.#periodMs = periodMs;
  }

  /** Undefined: be quiet. Else say it, and how many lines were left out since the last one. */
  take(nowMs: number): number | undefined {
    if (nowMs - this.#periodAtMs >= this.#periodMs) {
      this.#periodAtMs = nowMs;
      this.#said = 0;
    }
    if (this.#said >= this.#max) {
      this.#unsaid++;
      suppressed++;
      return undefined;
    }
    this.#said++;
    const unsaid = this.#unsaid;
    this.#unsaid = 0;
    return unsaid;
  }
}
