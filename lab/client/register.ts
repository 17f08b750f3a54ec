/**
 * The compare-and-swap register that the guest drives from inside (cas.c has the protocol). Pure:
 * lines in, answers and a log out.
 */
import type { CasLogEntry } from '../observer/cas-judge.ts';

export interface CasSummary {
  operations: number;
  applied: number;
  /**
   * Operations whose number is not above the last one of its run: sent twice, or by two
   * executions.
   */
  repeated: number;
  /** Numbers of a run that were left out: what was sent with them is lost. */
  skipped: number;
  /** Operations that did not find what they expected. */
  contradicted: number;
  /** Lines that are no operation. */
  malformed: number;
  /** Operations that are not in the log because it is full. */
  unlogged: number;
  current: string;
}

const RUNS_MAX = 256;
const OPERATION = /^CAS ([0-9a-f]{16}):([1-9][0-9]{0,14}) ([0-9a-f]{32}) ([0-9a-f]{32})$/;

/** Invariant: the log holds the first `logMax` operations in the order of their decision. */
export class CasRegister {
  readonly #logMax: number;
  readonly #lastOfRun = new Map<string, number>();
  readonly log: CasLogEntry[] = [];
  readonly #counts = { operations: 0, applied: 0, repeated: 0, skipped: 0, contradicted: 0 };
  #malformed = 0;
  #current = '0'.repeat(32);

  /** @param logMax Operations kept. */
  constructor(logMax = 1 << 20) {
    this.#logMax = logMax;
  }

  /** Decides one line and returns the answer line, without newline. */
  apply(line: string, nowMs: number): string {
    if (line === 'GET') return `VALUE ${this.#current}`;
    const match = OPERATION.exec(line);
    const known = match && (this.#lastOfRun.has(match[1]!) || this.#lastOfRun.size < RUNS_MAX);
    if (!known) {
      this.#malformed++;
      return 'ERROR expected GET or CAS RUN:SEQUENCE OLD NEW';
    }
    const [, run, digits, old, value] = match as unknown as [
      string,
      string,
      string,
      string,
      string,
    ];
    const held = this.#current;
    const applied = old === held;
    const sequence = Number(digits);
    this.#count(run, sequence, applied);
    if (this.log.length < this.#logMax)
      this.log.push({ atMs: nowMs, run, sequence, old, new: value, held, applied });
    if (applied) this.#current = value;
    return applied ? 'OK' : `NO ${held}`;
  }

  summary(): CasSummary {
    return {
      ...this.#counts,
      malformed: this.#malformed,
      unlogged: this.#counts.operations - this.log.length,
      current: this.#current,
    };
  }

  #count(run: string, sequence: number, applied: boolean): void {
    const last = this.#lastOfRun.get(run) ?? 0;
    this.#counts.operations++;
    if (applied) this.#counts.applied++;
    else this.#counts.contradicted++;
    if (sequence <= last) this.#counts.repeated++;
    else this.#counts.skipped += sequence - last - 1;
    this.#lastOfRun.set(run, Math.max(last, sequence));
  }
}
