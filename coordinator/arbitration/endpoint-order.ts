/**
 * In which order several endpoints are asked: as configured, but those that failed lately last, the
 * one that failed longest ago first among them. Pure.
 *
 * Invariant: every endpoint is in every order, once.
 */

/** How long a failure is remembered, milliseconds. */
const PENALTY_MS = 5_000;

export class EndpointOrder {
  /** When each failed; undefined since it last answered. */
  readonly #failedAt: (number | undefined)[];

  constructor(count: number) {
    this.#failedAt = new Array<number | undefined>(count).fill(undefined);
  }

  /** The numbers of all endpoints, the one to ask first in front. `nowMs` never goes back. */
  order(nowMs: number): number[] {
    const failed = (index: number) => {
      const at = this.#failedAt[index];
      return at !== undefined && nowMs - at < PENALTY_MS ? at : -1;
    };
    return [...this.#failedAt.keys()].sort((a, b) => failed(a) - failed(b) || a - b);
  }

  failed(index: number, nowMs: number): void {
    this.#failedAt[index] = nowMs;
  }

  answered(index: number): void {
    this.#failedAt[index] = undefined;
  }
}
