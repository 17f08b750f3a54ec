/** Lines of one kind that a guest, a peer or anybody on the network can cause: bounded, and those left out are counted. */
import type { Logger } from './log.ts';
import { LogLimit } from './log-limit.ts';

const LINES_MAX = 5;
const PERIOD_MS = 10_000;

export interface LimitedLogOptions {
  /** Lines in ten seconds at most. Default 5. */
  linesMax?: number;
  /** Monotonic milliseconds. Default `performance.now`. */
  now?: () => number;
}

export class LimitedLog {
  readonly #log: Logger;
  readonly #limit: LogLimit;
  readonly #now: () => number;

  constructor(log: Logger, options: LimitedLogOptions = {}) {
    this.#log = log;
    this.#limit = new LogLimit(options.linesMax ?? LINES_MAX, PERIOD_MS);
    this.#now = options.now ?? (() => performance.now());
  }

  /** Says it unless there were too many; the next one that is said has in `unsaid` how many were not. */
  say(level: 'info' | 'warn' | 'error', facts: object, text: string): void {
    const unsaid = this.#limit.take(this.#now());
    if (unsaid === undefined) return;
    this.#log[level](unsaid > 0 ? { ...facts, unsaid } : facts, text);
  }
}
