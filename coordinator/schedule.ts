/**
 * Decides when the next checkpoint starts, that is, when the withheld REPLY goes to QEMU. Pure:
 * `now` comes in, and the answer says when to ask again.
 *
 * Mode `output`: at once when output waits in the open epoch, as far as the pause budget allows,
 * and at the latest `intervalMaxMs` after the guest last ran on; a guest that has said nothing and done
 * next to nothing by then is looked at again from time to time, until `idleIntervalMaxMs`. What can be
 * lost is then no more work than before, and a tenth of `intervalMaxMs`. Mode `fixed`: every `intervalMs`,
 * whatever it costs the guest.
 *
 * A hint is somebody's wish for a checkpoint now, in either mode. It starts one as waiting output
 * does, within the pause budget: any number of hints that wait share the next checkpoint, and however
 * fast they come, the guest loses no more work than it may.
 *
 * The budget is a bucket of milliseconds of work that the guest may lose by being stopped: a pause
 * costs its length times the share of its time in which the guest works, though never less than two
 * fifths of its length. An idle guest loses nothing but promptness, and may be stopped more often.
 * An eighth of what one window allows can be saved up, so that a few checkpoints may follow each
 * other closely; the rest flows in evenly. Both together are exactly the window's budget. A
 * checkpoint starts when the bucket holds its predicted cost (or is full, for a cost larger than the
 * bucket), and is charged what it really cost, so the bucket goes into debt by at most one pause:
 *
 *   cost of the pauses in any windowMs ≤ pauseShareMax × windowMs + one pause
 *
 * This holds whatever the pauses are, because a debt is paid before the next start. It is never
 * more than one window's budget: that much is not paid off within the window anyway, and one hiccup
 * of the machine must not slow output down for many times its own length. A start at
 * `intervalMaxMs` ignores the budget, for a guest whose pauses have grown too long must still make
 * progress; since intervalMaxMs ≥ windowMs, no window holds more than one such start, and the bound
 * stands.
 *
 * Invariants: −budget of a window ≤ balance ≤ capacity; while the guest is stopped or a start was
 * decided, nothing more is started.
 */
import assert from 'node:assert/strict';

export interface ScheduleOptions {
  /** Default `output`. */
  mode?: 'output' | 'fixed';
  /** From start to start in mode `fixed`. Milliseconds, default 20. */
  intervalMs?: number;
  /**
   * The longest time without a checkpoint in mode `output`. Milliseconds, default 1,000; at least
   * windowMs.
   */
  intervalMaxMs?: number;
  /**
   * The longest time without a checkpoint in mode `output` of a guest that says nothing and does next to nothing.
   * Milliseconds, default intervalMaxMs; less than that means the same.
   */
  idleIntervalMaxMs?: number;
  /**
   * The share of its work that the guest may lose, above 0 and at most 1. Default 0.2. The time in which it may be
   * stopped is the same share for a guest that always works, and up to 2.5 times as much for an idle one.
   */
  pauseShareMax?: number;
  /** The time over which that share is kept. Milliseconds, default 500. */
  windowMs?: number;
}

/** Why a checkpoint starts. */
export type StartReason = 'output' | 'deadline' | 'interval' | 'hint';

/**
 * Why none starts: QEMU did not ask yet; it is under way; too many are in flight; too much pause;
 * nothing to do.
 */
export type WaitReason = 'request' | 'checkpoint' | 'in-flight' | 'budget' | 'idle';

/** `nextAskAt`: monotonic milliseconds; Infinity when only an event can change the answer. */
export type Decision =
  | { readonly takeNow: true; readonly reason: StartReason; readonly nextAskAt: number }
  | { readonly takeNow: false; readonly reason: WaitReason; readonly nextAskAt: number };

/** What part of a window's budget can be saved up. */
const BURST_FRACTION = 1 / 8;
/** What a pause of an idle guest costs, per millisecond. */
const COST_MIN = 0.4;
/** A guest that has worked less than this share of the longest interval does next to nothing. */
const IDLE_WORK = 0.1;
/** The weight of the newest pause in the running mean. */
const PAUSE_WEIGHT = 1 / 4;
/** A bucket that lacks less than this is full enough: times come as floating point. */
const EPSILON_MS = 1e-6;

export class CheckpointSchedule {
  /**
   * Checkpoints started, by reason, and times that waiting output had to go on waiting, by reason.
   */
  readonly counters = {
    output: 0,
    deadline: 0,
    interval: 0,
    hint: 0,
    /** Times that a guest was given more than the longest interval. */
    idlePutOffs: 0,
    outputWaitedForRequest: 0,
    outputWaitedForInFlight: 0,
    outputWaitedForBudget: 0,
  };
  readonly #mode: 'output' | 'fixed';
  readonly #intervalMs: number;
  readonly #intervalMaxMs: number;
  readonly #idleIntervalMaxMs: number;
  readonly #capacityMs: number;
  readonly #debtMaxMs: number;
  readonly #flowShare: number;
  #balanceMs: number;
  #balanceAt: number;
  #pauseMeanMs = 0;
  #pauseLastMs = 0;
  #costShare = 1;
  #requested = false;
  #started = false;
  #stoppedAt: number | undefined;
  #inFlightFull = false;
  #pendingEpoch = -1;
  #sealedEpoch = -1;
  #hinted = false;
  #lastStartAt: number;
  #lastRunAt: number;
  /** When a guest that says nothing is due, or looked at again. */
  #idleUntil: number;
  #waited: WaitReason | undefined;

  /**
   * @param now Monotonic milliseconds at which the guest runs under protection. The bucket begins
   * full.
   */
  constructor(now: number, options: ScheduleOptions = {}) {
    const share = options.pauseShareMax ?? 0.2;
    const windowMs = options.windowMs ?? 500;
    this.#mode = options.mode ?? 'output';
    this.#intervalMs = options.intervalMs ?? 20;
    this.#intervalMaxMs = options.intervalMaxMs ?? 1_000;
    this.#idleIntervalMaxMs = options.idleIntervalMaxMs ?? this.#intervalMaxMs;
    assert(share > 0 && share <= 1, 'pauseShareMax is above 0 and at most 1');
    assert(windowMs > 0 && this.#intervalMs > 0, 'times are positive');
    assert(this.#intervalMaxMs >= windowMs, 'intervalMaxMs is at least windowMs');
    this.#capacityMs = share * windowMs * BURST_FRACTION;
    this.#debtMaxMs = share * windowMs;
    this.#flowShare = share * (1 - BURST_FRACTION);
    this.#balanceMs = this.#capacityMs;
    this.#balanceAt = now;
    this.#lastStartAt = now;
    this.#lastRunAt = now;
    this.#idleUntil = now + this.#intervalMaxMs;
  }

  /**
   * The pause that the next checkpoint is expected to take, in milliseconds; 0 before the first
   * one.
   */
  get predictedPauseMs(): number {
    return Math.max(this.#pauseMeanMs, this.#pauseLastMs);
  }

  /** QEMU asked for a checkpoint; its REPLY is withheld until `decide` says so. */
  requested(): void {
    this.#requested = true;
  }

  /** The first frame of `epoch` was captured. */
  outputPending(epoch: number): void {
    this.#pendingEpoch = Math.max(this.#pendingEpoch, epoch);
  }

  /** `epoch` was sealed: a late word that its output waits means nothing any more. */
  sealed(epoch: number): void {
    this.#sealedEpoch = Math.max(this.#sealedEpoch, epoch);
  }

  /** Somebody wants a checkpoint that has not started yet. */
  hint(): void {
    this.#hinted = true;
  }

  /** Whether as many checkpoints are in flight to the backup as may be. */
  inFlight(full: boolean): void {
    this.#inFlightFull = full;
  }

  /** The guest was stopped by the checkpoint. */
  stopped(now: number): void {
    assert(this.#stoppedAt === undefined, 'the guest is stopped once');
    this.#stoppedAt = now;
    this.#started = true;
    this.#requested = false;
  }

  /**
   * The guest runs on.
   * @param workShare The share of its time in which the guest worked before the pause, 0 to 1.
   */
  resumed(now: number, workShare = 1): void {
    assert(this.#stoppedAt !== undefined, 'only a stopped guest runs on');
    assert(Number.isFinite(workShare), 'a share is a number');
    const pauseMs = Math.max(0, now - this.#stoppedAt);
    this.#flow(now);
    this.#costShare = Math.min(1, Math.max(COST_MIN, workShare));
    this.#balanceMs = Math.max(-this.#debtMaxMs, this.#balanceMs - pauseMs * this.#costShare);
    const first = this.#pauseLastMs === 0 && this.#pauseMeanMs === 0;
    this.#pauseMeanMs += (pauseMs - this.#pauseMeanMs) * (first ? 1 : PAUSE_WEIGHT);
    this.#pauseLastMs = pauseMs;
    this.#stoppedAt = undefined;
    this.#started = false;
    this.#lastRunAt = now;
    this.#idleUntil = now + this.#intervalMaxMs;
  }

  /**
   * Whether the checkpoint starts now. After `takeNow` it counts as started.
   * @param workedMs Says how much processor time the guest has used since it last ran on. Asked once in a longest
   *   interval.
   */
  decide(now: number, workedMs = () => Number.POSITIVE_INFINITY): Decision {
    const decision = this.#mode === 'fixed' ? this.#fixed(now) : this.#output(now, workedMs);
    if (decision.takeNow) {
      this.counters[decision.reason]++;
      this.#started = true;
      this.#requested = false;
      this.#hinted = false;
      this.#lastStartAt = now;
      this.#waited = undefined;
    } else this.#countWait(decision.reason);
    return decision;
  }

  get #outputWaits(): boolean {
    return this.#pendingEpoch > this.#sealedEpoch;
  }

  #fixed(now: number): Decision {
    const blocked = this.#blocked();
    if (blocked) return blocked;
    const dueAt = this.#lastStartAt + this.#intervalMs;
    if (now >= dueAt)
      return { takeNow: true, reason: 'interval', nextAskAt: Number.POSITIVE_INFINITY };
    if (!this.#hinted) return { takeNow: false, reason: 'idle', nextAskAt: dueAt };
    return this.#withinBudget(now, 'hint', dueAt);
  }

  #output(now: number, workedMs: () => number): Decision {
    const blocked = this.#blocked();
    if (blocked) return blocked;
    const wanted = this.#outputWaits || this.#hinted;
    if (!wanted) this.#putOff(now, workedMs);
    const deadlineAt = wanted ? this.#lastRunAt + this.#intervalMaxMs : this.#idleUntil;
    if (now >= deadlineAt)
      return { takeNow: true, reason: 'deadline', nextAskAt: Number.POSITIVE_INFINITY };
    if (this.#outputWaits) return this.#withinBudget(now, 'output', deadlineAt);
    if (this.#hinted) return this.#withinBudget(now, 'hint', deadlineAt);
    return { takeNow: false, reason: 'idle', nextAskAt: deadlineAt };
  }

  /** Gives a guest that is due another interval when it has done next to nothing. */
  #putOff(now: number, workedMs: () => number): void {
    const latestAt = this.#lastRunAt + this.#idleIntervalMaxMs;
    if (now < this.#idleUntil || now >= latestAt) return;
    if (workedMs() > IDLE_WORK * this.#intervalMaxMs) return;
    this.#idleUntil = Math.min(latestAt, now + this.#intervalMaxMs);
    this.counters.idlePutOffs++;
  }

  /** Starts a checkpoint when the budget has what it is expected to cost, and waits for that until `latestAt`. */
  #withinBudget(now: number, reason: StartReason, latestAt: number): Decision {
    this.#flow(now);
    const costMs = this.predictedPauseMs * this.#costShare;
    const lackMs = Math.min(costMs, this.#capacityMs) - this.#balanceMs;
    if (lackMs > EPSILON_MS) {
      const nextAskAt = Math.min(latestAt, now + lackMs / this.#flowShare);
      return { takeNow: false, reason: 'budget', nextAskAt };
    }
    return { takeNow: true, reason, nextAskAt: Number.POSITIVE_INFINITY };
  }

  #blocked(): Decision | undefined {
    const wait = (reason: WaitReason): Decision => ({
      takeNow: false,
      reason,
      nextAskAt: Number.POSITIVE_INFINITY,
    });
    if (this.#started) return wait('checkpoint');
    if (!this.#requested) return wait('request');
    return this.#inFlightFull ? wait('in-flight') : undefined;
  }

  #flow(now: number): void {
    const elapsedMs = Math.max(0, now - this.#balanceAt);
    this.#balanceMs = Math.min(this.#capacityMs, this.#balanceMs + elapsedMs * this.#flowShare);
    this.#balanceAt = Math.max(this.#balanceAt, now);
  }

  /** Counts each wait of output once, however often it is asked about. */
  #countWait(reason: WaitReason): void {
    if (!this.#outputWaits || reason === this.#waited) return;
    this.#waited = reason;
    if (reason === 'request') this.counters.outputWaitedForRequest++;
    else if (reason === 'in-flight') this.counters.outputWaitedForInFlight++;
    else if (reason === 'budget') this.counters.outputWaitedForBudget++;
  }
}
