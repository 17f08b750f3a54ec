/** The shell around the failure detector: asks it when it wants to be asked, and tells once that the peer is silent. */
import type { Clock } from '../common/clock.ts';
import { FailureDetector } from './arbitration/detector.ts';

export class Watch {
  readonly #clock: Clock;
  readonly #detector: FailureDetector;
  readonly #onSilent: (silentMs: number) => void;
  #timer: NodeJS.Timeout | undefined;
  #heardAtMs: number;

  /** @param onSilent Called at most once, with the milliseconds since the last sign of life. */
  constructor(
    clock: Clock,
    options: { silenceMs: number; beatMs: number },
    onSilent: (silentMs: number) => void,
  ) {
    this.#clock = clock;
    this.#onSilent = onSilent;
    this.#heardAtMs = clock.now();
    this.#detector = new FailureDetector(this.#heardAtMs, options);
    this.#check();
  }

  heard(now: number): void {
    this.#heardAtMs = now;
    this.#detector.heard(now);
  }

  /** Milliseconds since the peer was last heard. */
  get silentMs(): number {
    return this.#clock.now() - this.#heardAtMs;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #check(): void {
    const now = this.#clock.now();
    if (this.#detector.verdict(now) !== 'trusted') return this.#onSilent(this.silentMs);
    const waitMs = Math.max(1, this.#detector.nextCheckAt() - now);
    this.#timer = setTimeout(() => this.#check(), waitMs);
  }
}
