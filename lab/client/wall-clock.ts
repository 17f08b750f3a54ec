/**
 * The clock of the lab's events: all its processes run on one machine, so their stamps can be
 * compared.
 */

/** Milliseconds since 1970 with a fraction; monotonic within one process. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}
