/** What a person sees while the benchmark runs: one line that changes on a terminal, plain lines elsewhere. */
import { durationText } from './estimate.ts';
import type { Position } from './experiment-run.ts';

const COLUMNS = 100;
const CLEAR_LINE = '\r\x1b[K';

/** `datapath/tcp · round 2 of 7 · bridge · 12 min 05 s left`, at most `columns` wide. */
export function positionText(position: Position, columns: number): string {
  const { experiment, step, round, rounds, leftS } = position;
  const turn = round === 0 ? '' : ` · round ${round} of ${rounds}`;
  const text = `${experiment}${turn} · ${step} · ${durationText(leftS)} left`;
  return text.length <= columns ? text : `${text.slice(0, columns - 1)}…`;
}

export interface Stream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export class Progress {
  readonly #out: Stream;
  #live = false;
  #last = '';

  constructor(out: Stream) {
    this.#out = out;
  }

  /** On a terminal every step; elsewhere the beginning of every round. */
  at(position: Position): void {
    if (this.#out.isTTY) {
      // One column stays free: some terminals break the line when the last is used.
      const text = positionText(position, (this.#out.columns || COLUMNS) - 1);
      this.#out.write(CLEAR_LINE + text);
      this.#live = true;
      return;
    }
    const { experiment, round, rounds, leftS } = position;
    const key = `${experiment} ${round}`;
    if (key === this.#last || position.step === 'tidy-up') return;
    this.#last = key;
    const turn = round === 0 ? 'set-up' : `round ${round} of ${rounds}`;
    this.#out.write(`${experiment}: ${turn}, ${durationText(leftS)} left\n`);
  }

  /** A line that stays. */
  say(line: string): void {
    this.clear();
    this.#out.write(`${line}\n`);
  }

  /** Before anything else is written to the same terminal. */
  clear(): void {
    if (this.#live) this.#out.write(CLEAR_LINE);
    this.#live = false;
  }
}
