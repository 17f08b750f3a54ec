/**
 * Bytes whose number is not known, or not to be trusted, before they have come: memory is taken as they come, at most
 * twice what is there (and `firstBytes`), and never more than the limit.
 *
 * Invariant: length ≤ capacity ≤ limit.
 */
import assert from 'node:assert/strict';
import type { FieldReader } from './field-reader.ts';

export class GrowingBuffer {
  readonly #limit: number;
  #buffer: Buffer;
  #length = 0;

  /** @param limit Bytes at the most. @param firstBytes Bytes to begin with; no more than the limit is taken. */
  constructor(limit: number, firstBytes: number) {
    this.#limit = limit;
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(limit, firstBytes));
  }

  get length(): number {
    return this.#length;
  }

  /** What has come so far; valid until the next `consume`. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Takes what the reader's chunk has, up to the limit; true when the limit is reached. */
  consume(reader: FieldReader): boolean {
    const count = Math.min(reader.left, this.#limit - this.#length);
    this.#reserve(this.#length + count);
    this.#length += reader.move(this.#buffer, this.#length, count);
    return this.#length === this.#limit;
  }

  #reserve(bytes: number): void {
    if (bytes > this.#buffer.length) {
      const capacity = Math.min(this.#limit, Math.max(bytes, this.#buffer.length * 2));
      const larger = Buffer.allocUnsafeSlow(capacity);
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    assert(bytes <= this.#buffer.length && this.#buffer.length <= this.#limit);
  }
}
