/**
 * How much effort a checkpoint gets before it is sent. Pure: what was measured goes in, the effort for the next one
 * comes out.
 *
 * What a byte of pages costs with an effort is what it costs both processors, and the part of it that is left costs
 * the link:
 *
 *   cost = 2 × processor + share × link          nanoseconds for a byte of pages, as PAGES would have it
 *
 * The backup's processor is taken to be as busy as this one. What is left (`share`) and the processor's time are
 * measured whenever an effort is used. The link is measured by the time from the first page of a checkpoint to its
 * acknowledgement, without what a small one takes; while packing takes most of that time it is only known that the link costs no
 * more. More effort is taken when it costs a fifth less, less when it costs no more, and one that nobody has measured for long is tried for one
 * checkpoint, less and less often while that changes nothing.
 */
import assert from 'node:assert/strict';
import type { Effort, PackedPages } from './packer.ts';

/** `plain`: none. */
export type PackLevel = 'plain' | Effort;
export const PACK_LEVELS = ['plain', 'filter', 'pack'] as const satisfies readonly PackLevel[];

export const PACK_OPTIONS = ['auto', 'never', 'always'] as const;
export type PackOption = (typeof PACK_OPTIONS)[number];

/** What was sent of one checkpoint, or of a part of a full copy. */
export interface SentFigures {
  /** Of a full copy: its acknowledgement waits for more than the link. */
  full: boolean;
  level: PackLevel;
  /** Bytes of pages as PAGES would have them. */
  plainBytes: number;
  /** Bytes of pages as they were sent. */
  sentBytes: number;
  /** Bytes of device state as they were sent. */
  deviceBytes: number;
  /** Pages by the form in which they were packed; 0 of those that were sent as they are. */
  pages: PackedPages;
  /** Of plainBytes, those of pages that needed no content: filled ones, and those that had not changed. */
  leftOutBytes: number;
  /** Milliseconds that packing took. */
  packMs: number;
  /** When the first page was handed over. */
  fromMs: number;
  /** Bytes that were handed over and had not left this process, at that time. */
  backlogBytes: number;
}

export interface PackChoice {
  /** For the checkpoint that begins now, or the next part of a full copy. */
  next(full: boolean): PackLevel;
  /** A checkpoint was sent so, and the backup has committed it now. */
  committed(figures: SentFigures, nowMs: number): void;
  /** A part of a full copy was handed over so; `backlogBytes` have not left this process now. */
  part(figures: SentFigures, backlogBytes: number, nowMs: number): void;
}

/** The same for all. */
export class FixedChoice implements PackChoice {
  readonly #level: PackLevel;

  constructor(level: PackLevel) {
    this.#level = level;
  }

  next(): PackLevel {
    return this.#level;
  }

  committed(): void {
    // Nothing that was measured changes it.
  }

  part(): void {
    // As above.
  }
}

/** Of an effort: nanoseconds of this processor for a byte, and the share of the bytes that is left. */
interface Stats {
  cpuNs: number;
  share: number;
}

/** Before anything was measured: what usual guests give. Not so good that a fast link is left for a trial. */
const GUESS: Readonly<Record<PackLevel, Stats>> = {
  plain: { cpuNs: 0, share: 1 },
  filter: { cpuNs: 0.4, share: 0.95 },
  pack: { cpuNs: 1.2, share: 0.4 },
};
/** Weight of a new value against all before it. */
const NEW_WEIGHT = 0.25;
const BETTER_BY = 0.8;
/** Fewer bytes say nothing about the link, and this many as much as any. */
const LINK_BYTES_MIN = 256 << 10;
const LINK_BYTES_WHOLE = 1 << 20;
/** Milliseconds that an empty checkpoint may take beyond the round trip; what is more is the link's. */
const OVERHEAD_MS_MAX = 3;
/** By this much the least that was seen is forgotten with each checkpoint. */
const LEAST_FORGOTTEN = 1.01;
/** Fewer bytes say nothing about an effort. */
const EFFORT_BYTES_MIN = 16 << 10;
/** Above this share of the time packing, not the link, is what a checkpoint waited for. */
const PACKING_SHARE_MAX = 0.5;
/** What waits in this process when the link is the limit of a full copy. */
const BACKLOG_BYTES_MIN = 1 << 20;
/** The most that packing may give: a link that costs less is left alone. */
const BEST: Stats = { cpuNs: 0.5, share: 0.05 };
/** Checkpoints from one trial to the next, at first and at most. */
const TRIAL_AFTER = 64;
const TRIAL_AFTER_MAX = 4096;

export class AutoChoice implements PackChoice {
  readonly #roundTripMs: () => number | undefined;
  readonly #stats = { true: structuredClone(GUESS), false: structuredClone(GUESS) };
  #linkNs: number | undefined;
  /** The least that was seen. */
  #tripMs = Number.POSITIVE_INFINITY;
  /** The least time of a checkpoint that was seen lately. */
  #leastMs = Number.POSITIVE_INFINITY;
  #lastAckMs = 0;
  #level: PackLevel = 'plain';
  /** Checkpoints since the last one that said something new: about the link while packing, about packing while not. */
  #sinceNews = 0;
  #trialAfter = TRIAL_AFTER;

  /** @param roundTripMs The newest round trip of the connection; undefined before one. */
  constructor(roundTripMs: () => number | undefined) {
    this.#roundTripMs = roundTripMs;
  }

  /** Nanoseconds that a byte costs the link; undefined before it was measured. */
  get linkNs(): number | undefined {
    return this.#linkNs;
  }

  next(full: boolean): PackLevel {
    const cheapest = this.#cheapest(full);
    if (full) return cheapest;
    if (cheapest !== this.#level) {
      this.#level = cheapest;
      this.#sinceNews = 0;
      this.#trialAfter = TRIAL_AFTER;
    } else if (this.#trialDue) {
      this.#sinceNews = 0;
      this.#trialAfter = Math.min(2 * this.#trialAfter, TRIAL_AFTER_MAX);
      return this.#level === 'plain' ? 'pack' : 'plain';
    }
    return this.#level;
  }

  committed(figures: SentFigures, nowMs: number): void {
    const fromMs = Math.max(figures.fromMs, this.#lastAckMs);
    this.#lastAckMs = nowMs;
    if (figures.full) return;
    this.#sinceNews++;
    this.#effort(figures);
    const elapsedMs = nowMs - fromMs;
    const takenMs = Math.max(0, elapsedMs - this.#overheadMs(elapsedMs));
    const bytes = figures.sentBytes + figures.deviceBytes;
    if (bytes >= LINK_BYTES_MIN)
      this.#link(takenMs, bytes, figures.packMs < PACKING_SHARE_MAX * takenMs);
  }

  part(figures: SentFigures, backlogBytes: number, nowMs: number): void {
    this.#effort(figures);
    const left = figures.sentBytes - (backlogBytes - figures.backlogBytes);
    if (left >= LINK_BYTES_MIN)
      this.#link(nowMs - figures.fromMs, left, backlogBytes >= BACKLOG_BYTES_MIN);
  }

  /** What a checkpoint without pages would have taken. */
  #overheadMs(elapsedMs: number): number {
    this.#tripMs = Math.min(this.#tripMs, this.#roundTripMs() ?? Number.POSITIVE_INFINITY);
    this.#leastMs = Math.min(LEAST_FORGOTTEN * this.#leastMs, elapsedMs);
    const tripMs = Number.isFinite(this.#tripMs) ? this.#tripMs : 0;
    return Math.min(Math.max(tripMs, this.#leastMs), tripMs + OVERHEAD_MS_MAX);
  }

  /** @param direct Whether the link was what was waited for; otherwise it may cost less. */
  #link(takenMs: number, bytes: number, direct: boolean): void {
    const ns = (takenMs * 1e6) / bytes;
    assert(ns >= 0);
    const weight = NEW_WEIGHT * Math.min(1, bytes / LINK_BYTES_WHOLE);
    if (this.#level !== 'plain' && direct) this.#sinceNews = 0;
    if (this.#linkNs === undefined) this.#linkNs = ns;
    else if (direct) this.#linkNs += weight * (ns - this.#linkNs);
    else this.#linkNs = Math.min(this.#linkNs, ns);
  }

  #effort({ full, level, plainBytes, sentBytes, leftOutBytes, packMs }: SentFigures): void {
    if (level === 'plain' || plainBytes < EFFORT_BYTES_MIN) return;
    const efforts = this.#stats[`${full}`];
    // What was known of an effort that is only tried is old.
    const weight = full || level === this.#level ? NEW_WEIGHT : 1;
    learn(efforts[level], 'cpuNs', (packMs * 1e6) / plainBytes, weight);
    learn(efforts[level], 'share', sentBytes / plainBytes, weight);
    // Packing finds all that filtering would have found.
    if (level === 'pack') learn(efforts.filter, 'share', 1 - leftOutBytes / plainBytes, weight);
  }

  #cost(level: PackLevel, full: boolean): number {
    const { cpuNs, share } = this.#stats[`${full}`][level];
    return 2 * cpuNs + share * this.#linkNs!;
  }

  /** The effort that costs least; more effort than now only if it costs much less. */
  #cheapest(full: boolean): PackLevel {
    if (this.#linkNs === undefined) return this.#level;
    let best: PackLevel = this.#level;
    let least = this.#cost(best, full);
    for (const level of PACK_LEVELS) {
      const more = PACK_LEVELS.indexOf(level) > PACK_LEVELS.indexOf(this.#level);
      const cost = this.#cost(level, full) / (more ? BETTER_BY : 1);
      if (cost >= least) continue;
      best = level;
      least = cost;
    }
    return best;
  }

  get #trialDue(): boolean {
    if (this.#sinceNews < this.#trialAfter || this.#linkNs === undefined) return false;
    const best = 2 * BEST.cpuNs + BEST.share * this.#linkNs;
    return this.#level !== 'plain' || best < BETTER_BY * this.#linkNs;
  }
}

function learn(stats: Stats, what: keyof Stats, value: number, weight: number): void {
  stats[what] += weight * (value - stats[what]);
}
