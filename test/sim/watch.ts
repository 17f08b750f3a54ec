/** The shell around the production's failure detector, as coordinator/watch.ts. */
import { FailureDetector } from '../../coordinator/arbitration/detector.ts';
import type { SimProcess, SimTimer } from './process.ts';

export class SimWatch {
  readonly #process: SimProcess;
  readonly #detector: FailureDetector;
  readonly #onSilent: () => void;
  #timer: SimTimer | undefined;

  constructor(
    process: SimProcess,
    options: { silenceMs: number; beatMs: number },
    onSilent: () => void,
  ) {
    this.#process = process;
    this.#onSilent = onSilent;
    this.#detector = new FailureDetector(process.loop.now, options);
    this.#check();
  }

  heard(now: number): void {
    this.#detector.heard(now);
  }

  stop(): void {
    this.#process.clear(this.#timer);
  }

  #check(): void {
    const { now } = this.#process.loop;
    if (this.#detector.verdict(now) !== 'trusted') return this.#onSilent();
    const waitMs = Math.max(1, this.#detector.nextCheckAt() - now);
    this.#timer = this.#process.timer(waitMs, () => this.#check());
  }
}
