/**
 * Drives the grammar of a stream over chunks of any size. A grammar is one generator, which yields what it wants next: a
 * number is a field of that size, an object takes bulk data until it is satisfied.
 */
import type { FieldReader } from './field-reader.ts';

/** Takes bulk data from the reader; true when it has all it wants. */
export interface Bulk {
  consume(reader: FieldReader): boolean;
}
export type Want = number | Bulk;
export type Steps<Result> = Generator<Want, Result, void>;

export class StreamSteps {
  readonly #reader: FieldReader;
  readonly #steps: Steps<never>;
  readonly #check: () => void;
  #want: Want;
  #failed: unknown;

  /** @param check Called at the end of each chunk, to throw when a bound is passed in the middle of something. */
  constructor(reader: FieldReader, steps: Steps<never>, check: () => void = () => {}) {
    this.#reader = reader;
    this.#steps = steps;
    this.#check = check;
    this.#want = steps.next().value;
  }

  /**
   * Takes a chunk of any size; the bytes are not kept.
   * @throws What the grammar or the check throws; from then on, every call does.
   */
  push(chunk: Buffer): void {
    if (this.#failed) throw this.#failed;
    try {
      this.#reader.feed(chunk);
      while (this.#satisfied(this.#want)) this.#want = this.#steps.next().value;
      this.#check();
    } catch (error) {
      this.#failed = error;
      throw error;
    }
  }

  #satisfied(want: Want): boolean {
    return typeof want === 'number' ? this.#reader.take(want) : want.consume(this.#reader);
  }
}
