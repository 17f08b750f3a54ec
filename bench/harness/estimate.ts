/** How much longer a benchmark takes: what its experiments declare, corrected by what they really took. */
import type { Experiment } from '../scenario.ts';

/** Declared guesses are trusted within this factor, so that one odd run does not make hours of minutes. */
const FACTOR_MAX = 8;

export interface Work {
  experiment: Experiment;
  rounds: number;
}

/** Seconds that an experiment declares for everything. */
export function declaredSeconds({ experiment, rounds }: Work, quick: boolean): number {
  return (
    experiment.seconds.open + rounds * experiment.variants.length * runGuess(experiment, quick)
  );
}

/** The declared seconds of one run of one variant. */
export function runGuess(experiment: Experiment, quick: boolean): number {
  return quick ? experiment.seconds.quickRun : experiment.seconds.run;
}

export class Estimate {
  readonly #quick: boolean;
  readonly #waiting: Work[];
  #current: { work: Work; runsLeft: number; tookS: number; runs: number } | undefined;
  /** Of all ended runs. */
  #declaredS = 0;
  #tookS = 0;

  constructor(works: readonly Work[], quick: boolean) {
    this.#waiting = [...works];
    this.#quick = quick;
  }

  /** The next experiment of the list is opened. */
  begin(): void {
    const work = this.#waiting.shift();
    if (!work) return;
    const runsLeft = work.rounds * work.experiment.variants.length;
    this.#current = { work, runsLeft, tookS: 0, runs: 0 };
  }

  /** A run ended after `seconds`, or `undefined` when it is not to be done at all. */
  ran(seconds: number | undefined): void {
    const current = this.#current;
    if (!current) return;
    current.runsLeft = Math.max(0, current.runsLeft - 1);
    if (seconds === undefined) return;
    current.tookS += seconds;
    current.runs += 1;
    this.#tookS += seconds;
    this.#declaredS += runGuess(current.work.experiment, this.#quick);
  }

  /** Seconds that are left. */
  left(): number {
    const factor = this.#declaredS > 0 ? clamp(this.#tookS / this.#declaredS) : 1;
    const later = this.#waiting.reduce((sum, work) => sum + declaredSeconds(work, this.#quick), 0);
    return this.#currentLeft(factor) + later * factor;
  }

  #currentLeft(factor: number): number {
    const current = this.#current;
    if (!current) return 0;
    const guess = runGuess(current.work.experiment, this.#quick) * factor;
    const each = current.runs > 0 ? current.tookS / current.runs : guess;
    return current.runsLeft * each;
  }
}

function clamp(factor: number): number {
  return Math.min(FACTOR_MAX, Math.max(1 / FACTOR_MAX, factor));
}

/** `4 s`, `3 min 10 s`, `1 h 05 min`. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, min, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const padded = (value: number) => String(value).padStart(2, '0');
  if (h > 0) return `${h} h ${padded(min)} min`;
  return min > 0 ? `${min} min ${padded(s)} s` : `${s} s`;
}
