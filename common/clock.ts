/** Time as an argument: decisions take `now` from a Clock, so tests and the simulator own it. */

export interface Clock {
  /** Monotonic milliseconds with a fraction; the origin means nothing. */
  now(): number;
}

/** CLOCK_MONOTONIC, shared by all processes of one machine. */
export const monotonicClock: Clock = { now: () => Number(process.hrtime.bigint()) / 1e6 };
