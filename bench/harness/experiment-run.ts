/**
 * Runs one experiment: opens it, runs its variants in turns, round after round, and closes it. Everything unexpected is
 * kept as text: the benchmark goes on with what else there is.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Logger } from '../../common/log.ts';
import { type Experiment, NotRunnable, type RunContext, type Scenario } from '../scenario.ts';
import { bounded, Stuck } from './bounded.ts';
import { type Estimate, runGuess } from './estimate.ts';
import { loadBetween, type Ticks } from './load.ts';
import { orderOf } from './order.ts';
import { plainMessage } from './plain-message.ts';
import type { ProbeTimes } from './probe.ts';
import type { ExperimentResults, VariantResults } from './results.ts';
import { checkedValues } from './values.ts';

/** What is being done. */
export interface Position {
  scenario: string;
  experiment: string;
  /** The variant's id, or `set-up` or `tidy-up`. */
  step: string;
  /** From 1; 0 in the set-up. */
  round: number;
  rounds: number;
  leftS: number;
}

/** All that a run needs of the outside. */
export interface Bench {
  quick: boolean;
  rounds: number;
  log: Logger;
  signal: AbortSignal;
  estimate: Estimate;
  /** Milliseconds that never go back. */
  now(): number;
  probe(): ProbeTimes;
  ticks(): Ticks;
  at(position: Position): void;
  /** A sentence for the person who waits. */
  say(line: string): void;
  limits?: Limits;
}

/** How long things may take: the declared guess times the factor, but not less than the minimum. */
export interface Limits {
  factor: number;
  runMsMin: number;
  openMsMin: number;
  closeMs: number;
  /** For work to end after it was told to. */
  graceMs: number;
}

const LIMITS: Limits = {
  factor: 10,
  runMsMin: 60_000,
  openMsMin: 240_000,
  closeMs: 60_000,
  graceMs: 20_000,
};

/** Never throws. */
export async function runExperiment(
  scenario: Scenario,
  experiment: Experiment,
  bench: Bench,
): Promise<ExperimentResults> {
  return new ExperimentRun(scenario, experiment, bench).run();
}

class ExperimentRun {
  readonly #experiment: Experiment;
  readonly #bench: Bench;
  readonly #scenario: string;
  readonly #folder: string;
  readonly #results: ExperimentResults;
  readonly #limits: Limits;

  constructor(scenario: Scenario, experiment: Experiment, bench: Bench) {
    this.#scenario = scenario.name;
    this.#experiment = experiment;
    this.#bench = bench;
    this.#folder = mkdtempSync(path.join(os.tmpdir(), 'curling-bench-'));
    this.#limits = bench.limits ?? LIMITS;
    this.#results = emptyResults(experiment, bench.rounds);
  }

  async run(): Promise<ExperimentResults> {
    const { now, signal } = this.#bench;
    const start = now();
    try {
      await this.#open();
      for (let round = 0; round < this.#bench.rounds; round += 1) {
        if (signal.aborted || !this.#somethingRuns()) break;
        await this.#round(round);
      }
    } catch (error) {
      this.#stop(error);
    }
    await this.#close();
    if (signal.aborted && this.#results.outcome === 'complete') {
      this.#results.outcome = 'interrupted';
      this.#results.reason = 'the benchmark was ended';
    }
    this.#settle();
    this.#results.seconds = (now() - start) / 1000;
    return this.#results;
  }

  async #open(): Promise<void> {
    const { open, seconds } = this.#experiment;
    if (!open) return;
    this.#at('set-up', 0);
    const { openMsMin, factor } = this.#limits;
    const limitMs = Math.max(openMsMin, seconds.open * 1000 * factor);
    await this.#bounded('the set-up', limitMs, context => open.call(this.#experiment, context));
  }

  async #round(round: number): Promise<void> {
    const { now, probe, ticks, signal } = this.#bench;
    const probed = probe();
    const [start, before] = [now(), ticks()];
    for (const variant of orderOf(this.#results.variants, round)) {
      if (signal.aborted) break;
      if (variant.outcome === 'not-runnable' || variant.outcome === 'failed')
        this.#bench.estimate.ran(undefined);
      else await this.#runTwice(variant, round);
    }
    this.#results.rounds.push({
      round,
      seconds: (now() - start) / 1000,
      probeSpinMs: probed.spinMs,
      probeCopyMs: probed.copyMs,
      ...loadBetween(before, ticks()),
    });
  }

  /** Once more when it fails unexpectedly; the variant has failed when that fails too. */
  async #runTwice(variant: VariantResults, round: number): Promise<void> {
    for (const last of [false, true]) {
      try {
        await this.#runOnce(variant, round);
        return;
      } catch (error) {
        if (this.#bench.signal.aborted && !(error instanceof Stuck)) return;
        const message = plainMessage(error);
        if (error instanceof NotRunnable) {
          Object.assign(variant, { outcome: 'not-runnable', reason: message });
          this.#say(`${variant.id} cannot run: ${message}`);
          return;
        }
        variant.errors.push({ round, message });
        this.#bench.log.debug({ error, variant: variant.id, round }, 'a run failed');
        this.#say(`${variant.id} failed in round ${round + 1}: ${message}`);
        if (last || error instanceof Stuck)
          Object.assign(variant, { outcome: 'failed', reason: message });
        // A run that still goes on would disturb all others.
        if (error instanceof Stuck) throw error;
      }
    }
  }

  async #runOnce(variant: VariantResults, round: number): Promise<void> {
    const { now, quick, estimate } = this.#bench;
    this.#at(variant.id, round + 1);
    const guessMs = runGuess(this.#experiment, quick) * 1000;
    const limitMs = Math.max(this.#limits.runMsMin, guessMs * this.#limits.factor);
    const start = now();
    const raw = await this.#bounded(variant.id, limitMs, context =>
      this.#experiment.run(variant.id, context),
    );
    const seconds = (now() - start) / 1000;
    const values = checkedValues(raw, this.#experiment.metrics);
    estimate.ran(seconds);
    variant.runs.push({ round, seconds, values });
    variant.outcome = 'measured';
  }

  #bounded<T>(what: string, limitMs: number, work: (context: RunContext) => Promise<T>) {
    const { quick, log, signal: outer } = this.#bench;
    return bounded({ what, limitMs, graceMs: this.#limits.graceMs, signal: outer }, signal =>
      work({ quick, log, signal, folder: this.#folder }),
    );
  }

  async #close(): Promise<void> {
    const { close } = this.#experiment;
    this.#at('tidy-up', this.#bench.rounds);
    try {
      const bounds = { what: 'the tidy-up', limitMs: this.#limits.closeMs, graceMs: 0 };
      const signal = new AbortController().signal;
      await bounded({ ...bounds, signal }, async () => close?.call(this.#experiment));
    } catch (error) {
      this.#stop(error);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The experiment ends early, or did not end well. The first reason counts. */
  #stop(error: unknown): void {
    const results = this.#results;
    if (results.outcome !== 'complete') return;
    if (this.#bench.signal.aborted && !(error instanceof Stuck)) return;
    results.outcome = error instanceof NotRunnable ? 'not-runnable' : 'failed';
    results.reason = plainMessage(error);
    this.#bench.log.debug({ error, experiment: results.id }, 'an experiment failed');
    this.#say(`${results.outcome === 'failed' ? 'failed' : 'cannot run'}: ${results.reason}`);
  }

  /** When the experiment did not run, its variants say so too. */
  #settle(): void {
    const { outcome, reason, variants } = this.#results;
    if (outcome !== 'not-runnable') return;
    for (const variant of variants)
      if (variant.runs.length === 0) Object.assign(variant, { outcome, reason });
  }

  #somethingRuns(): boolean {
    return this.#results.variants.some(
      ({ outcome }) => outcome !== 'not-runnable' && outcome !== 'failed',
    );
  }

  #at(step: string, round: number): void {
    const { estimate, rounds, at } = this.#bench;
    const experiment = this.#experiment.id;
    at({ scenario: this.#scenario, experiment, step, round, rounds, leftS: estimate.left() });
  }

  #say(line: string): void {
    this.#bench.say(`${this.#experiment.id}: ${line}`);
  }
}

function emptyResults(experiment: Experiment, rounds: number): ExperimentResults {
  const { id, title, about, metrics, variants, baseline, goals, axis } = experiment;
  return {
    ...{ id, title, about, metrics: [...metrics], baseline: baseline ?? null },
    ...{ goals: [...(goals ?? [])], axis: axis ?? null, roundsPlanned: rounds },
    ...{ outcome: 'complete', reason: null, seconds: 0, rounds: [] },
    variants: variants.map(variant => ({
      ...variant,
      ...{ outcome: 'not-reached', reason: null, errors: [], runs: [] },
    })),
  };
}
