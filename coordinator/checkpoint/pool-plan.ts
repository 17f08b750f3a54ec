/**
 * How many chunks a staging pool should have: as many as were in use at once lately, and some room above. Pure; memory is
 * the business of chunk-pool.ts. Times are milliseconds of a monotonic clock.
 *
 *   wanted  = 1.5 × the most that was in use within the last 5 to 10 s, between `chunksMin` and `chunksMax`
 *   growth  at once up to `wanted`
 *   shrink  half of what is above `wanted` with each step, so that a short lull costs little and a long one everything;
 *           a rest of a few chunks goes at once
 */

/** Above what was in use: what a guest dirties varies, and what is not reserved ahead costs its pause. */
export const HEADROOM = 1.5;
/** What was in use counts for one of these to two. */
export const QUIET_MS = 5_000;
/** Two slabs: less could not be given back by halves. */
const REST_CHUNKS = 8;

export interface PoolBounds {
  /** Kept always. */
  chunksMin: number;
  /** Never exceeded. */
  chunksMax: number;
}

export class PoolPlan {
  readonly #bounds: PoolBounds;
  /** The most in use in the span that began at `#sinceMs`, and in the one before it. */
  #peak = 0;
  #peakBefore = 0;
  #sinceMs: number | undefined;

  constructor(bounds: PoolBounds) {
    this.#bounds = bounds;
  }

  /** `chunks` were in use at once, at some time since the last call. */
  used(chunks: number, now: number): void {
    this.#advance(now);
    this.#peak = Math.max(this.#peak, chunks);
  }

  /** How many chunks there should be. */
  wanted(now: number): number {
    this.#advance(now);
    const { chunksMin, chunksMax } = this.#bounds;
    const most = Math.max(this.#peak, this.#peakBefore);
    return Math.min(chunksMax, Math.max(chunksMin, Math.ceil(most * HEADROOM)));
  }

  /** How many of `chunks` should be there after the next step: more, at once, or fewer, half way. */
  next(chunks: number, now: number): number {
    const wanted = this.wanted(now);
    if (chunks <= wanted) return wanted;
    const left = Math.floor((chunks - wanted) / 2);
    return wanted + (left < REST_CHUNKS ? 0 : left);
  }

  #advance(now: number): void {
    this.#sinceMs ??= now;
    const spans = Math.floor((now - this.#sinceMs) / QUIET_MS);
    if (spans < 1) return;
    this.#peakBefore = spans === 1 ? this.#peak : 0;
    this.#peak = 0;
    this.#sinceMs += spans * QUIET_MS;
  }
}
