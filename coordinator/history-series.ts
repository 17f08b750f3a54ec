/** The rows of a history at one resolution: columns in rings of fixed size. Pure. */
import { HISTORY_COLUMNS, type HistoryColumn, type Interval } from './history-interval.ts';

/** The steps in which numbers are told: a microsecond, and a fraction of a byte means nothing. */
const STEPS = 1_000;

/** Rows of a series, as JSON; row `i` is column[i]. */
export interface HistoryRows {
  intervalMs: number;
  /** How many rows the series keeps: forget older ones. */
  rowsMax: number;
  /** The number of the first row, counted from the first interval of this run. */
  first: number;
  /** When that row's interval began: Unix time, milliseconds. The next row is `intervalMs` later. */
  firstAt: number;
  /** All of the same length, which may be 0. */
  columns: Record<HistoryColumn, (number | null)[]>;
}

export class HistorySeries {
  readonly intervalMs: number;
  readonly rowsMax: number;
  readonly #columns: ReadonlyMap<HistoryColumn, Float32Array>;
  /** How many rows there were, those that are forgotten included. */
  #rows = 0;

  constructor(intervalMs: number, rowsMax: number) {
    this.intervalMs = intervalMs;
    this.rowsMax = rowsMax;
    this.#columns = new Map(HISTORY_COLUMNS.map(name => [name, new Float32Array(rowsMax)]));
  }

  get rows(): number {
    return this.#rows;
  }

  /** An interval has ended; the oldest row is forgotten when there are too many. */
  push(interval: Interval): void {
    const row = interval.row();
    const at = this.#rows % this.rowsMax;
    for (const [name, column] of this.#columns) column[at] = row[name];
    this.#rows++;
  }

  /**
   * The rows from number `from` on, or from the oldest that is kept, at most `max`.
   * @param startedAt Unix time, milliseconds, of the first interval.
   */
  read(from: number, max: number, startedAt: number): HistoryRows {
    const first = Math.max(Math.min(from, this.#rows), this.#rows - this.rowsMax, 0);
    const count = Math.min(max, this.#rows - first);
    const columns = {} as Record<HistoryColumn, (number | null)[]>;
    for (const [name, column] of this.#columns) {
      columns[name] = Array.from({ length: count }, (_, i) =>
        told(column[(first + i) % this.rowsMax]!),
      );
    }
    const { intervalMs, rowsMax } = this;
    const firstAt = Math.round(startedAt + first * intervalMs);
    return { intervalMs, rowsMax, first, firstAt, columns };
  }
}

function told(value: number): number | null {
  return Number.isNaN(value) ? null : Math.round(value * STEPS) / STEPS;
}
