/**
 * What the last hours were like, for the status page: one row a second for 15 minutes, and one row in 15 seconds for 6
 * hours. Pure: `now` comes in, monotonic milliseconds that never go back; an interval ends when somebody records or reads
 * after its end, so no timer is needed. All memory, about 170 KiB, is taken at the start.
 *
 * An interval's percentiles are its own: those of 15 seconds are made from all values in them, not from those of seconds.
 * An interval in which nothing happened has a row too.
 */
import type { HostStateName } from './arbitration/host-state.ts';
import { Interval, STATES_BY_CONCERN } from './history-interval.ts';
import { type HistoryRows, HistorySeries } from './history-series.ts';

const FINE_MS = 1_000;
const FINE_ROWS = 15 * 60;
const COARSE_MS = 15_000;
const COARSE_ROWS = 6 * 60 * 4;
const FINE_PER_COARSE = COARSE_MS / FINE_MS;
/** Intervals that are made up at once after a time without any; what was before is forgotten by then. */
const MISSED_MAX = (COARSE_ROWS + 1) * FINE_PER_COARSE;
/** Rows of each series in one answer: making more at once would keep the coordinator from its work. */
const READ_ROWS_MAX = 300;

/**
 * What `read` gives, as JSON. To follow the history: read without a cursor; add the rows of `fine` and `coarse` to what is
 * there, or, when `reset` is true, put them in the place of all that is there; while `more` is true read again at once with
 * the `cursor` of the answer, later once a second. Rows come once each and in order. A row appears when its interval is
 * over. Columns: history-interval.ts.
 */
export interface HistoryDocument {
  /** For the next read. */
  cursor: string;
  /** The rows begin anew: there was no cursor, or it was of another run of the coordinator. */
  reset: boolean;
  /** There are more rows now. */
  more: boolean;
  /** What the numbers of the column `state` mean. */
  states: readonly HostStateName[];
  /** Seconds, for the last 15 minutes. */
  fine: HistoryRows;
  /** 15 seconds each, for the last 6 hours. */
  coarse: HistoryRows;
}

export class History {
  readonly #run: string;
  #startedAt: number;
  readonly #fine = new HistorySeries(FINE_MS, FINE_ROWS);
  readonly #coarse = new HistorySeries(COARSE_MS, COARSE_ROWS);
  readonly #second: Interval;
  readonly #quarter: Interval;
  #endsAt: number;
  #state: number;

  /** @param run Tells this life of the coordinator from others; without a full stop. */
  constructor(run: string, state: HostStateName, now: number) {
    this.#run = run;
    this.#startedAt = now;
    this.#endsAt = now + FINE_MS;
    this.#state = STATES_BY_CONCERN.indexOf(state);
    this.#second = new Interval(this.#state);
    this.#quarter = new Interval(this.#state);
  }

  state(name: HostStateName, now: number): void {
    this.#advance(now);
    this.#state = STATES_BY_CONCERN.indexOf(name);
    this.#second.state = Math.max(this.#second.state, this.#state);
  }

  /** A checkpoint is staged and the guest runs on. `inFlight`: how many are staged and not committed. */
  staged(pauseMs: number, bytes: number, pages: number, inFlight: number, now: number): void {
    this.#advance(now);
    const second = this.#second;
    second.pause.record(pauseMs);
    second.checkpointBytes += bytes;
    second.dirtyPages += pages;
    second.sawLag(inFlight);
  }

  /** A checkpoint that is committed was sent in so many bytes. */
  sent(bytes: number, now: number): void {
    this.#advance(now);
    this.#second.sentBytes += bytes;
  }

  /** The backup has committed a checkpoint, `commitMs` after it was staged. */
  committed(commitMs: number, now: number): void {
    this.#advance(now);
    this.#second.commit.record(commitMs);
  }

  /** An epoch left the proxy, `delayMs` after its first frame was captured. */
  released(delayMs: number, now: number): void {
    this.#advance(now);
    this.#second.delay.record(delayMs);
  }

  /** The proxy holds `bytes` now. */
  held(bytes: number, now: number): void {
    this.#advance(now);
    this.#second.sawHeld(bytes);
  }

  /**
   * What is new since `cursor`, a bounded piece of it.
   * @param wallMs Unix time, milliseconds.
   * @param cursor Of an answer before; anything else reads from the oldest row on.
   */
  read(now: number, wallMs: number, cursor = ''): HistoryDocument {
    this.#advance(now);
    const from = this.#parse(cursor);
    const startedAt = wallMs - (now - this.#startedAt);
    const fine = this.#fine.read(from?.fine ?? 0, READ_ROWS_MAX, startedAt);
    const coarse = this.#coarse.read(from?.coarse ?? 0, READ_ROWS_MAX, startedAt);
    const next = [fine, coarse].map(({ first, columns }) => first + columns.state.length);
    return {
      cursor: `${this.#run}.${next.join('.')}`,
      reset: from === undefined,
      more: next[0]! < this.#fine.rows || next[1]! < this.#coarse.rows,
      states: STATES_BY_CONCERN,
      fine,
      coarse,
    };
  }

  #parse(cursor: string): { fine: number; coarse: number } | undefined {
    const match = /^([^.]*)\.(\d{1,15})\.(\d{1,15})$/.exec(cursor);
    if (match?.[1] !== this.#run) return undefined;
    return { fine: Number(match[2]), coarse: Number(match[3]) };
  }

  /** Ends the intervals that are over. */
  #advance(now: number): void {
    if (now < this.#endsAt) return;
    const missed = Math.floor((now - this.#endsAt) / FINE_MS) + 1;
    const skipped = Math.max(0, missed - MISSED_MAX);
    for (let i = skipped; i < missed; i++) this.#endSecond();
    this.#startedAt += skipped * FINE_MS;
    this.#endsAt += missed * FINE_MS;
  }

  #endSecond(): void {
    this.#fine.push(this.#second);
    this.#quarter.add(this.#second);
    this.#second.clear(this.#state);
    if (this.#fine.rows % FINE_PER_COARSE !== 0) return;
    this.#coarse.push(this.#quarter);
    this.#quarter.clear(this.#state);
  }
}
