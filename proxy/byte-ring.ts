/**
 * Places in one piece of memory, given out and taken back in the same order: a ring of bytes without bookkeeping per
 * place. A place never wraps around; what is free behind the last one then waits until the ring comes round. Pure.
 *
 * Invariant: all places lie in [tail, head), or, once head has wrapped, in [tail, end) and [0, head).
 * head = tail only when there is no place at all.
 */
import assert from 'node:assert/strict';

/** Places begin at whole cache lines. */
const ALIGNMENT_BYTES = 64;

export class ByteRing {
  readonly capacity: number;
  #head = 0;
  #tail = 0;
  #places = 0;

  /** @param capacity Bytes, rounded down to whole cache lines. */
  constructor(capacity: number) {
    this.capacity = Math.floor(capacity / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    assert(this.capacity > 0);
  }

  /** Places that are given out. */
  get places(): number {
    return this.#places;
  }

  /** Whether an eighth is free: a time to say that a shortage is over. */
  get roomy(): boolean {
    const used = this.#head - this.#tail;
    return this.#places === 0 || (used > 0 ? used : used + this.capacity) * 8 <= this.capacity * 7;
  }

  /** The offset of a place of `length` bytes (1 or more), or -1 when there is no room for it now. */
  take(length: number): number {
    assert(length > 0);
    const size = aligned(length);
    // An empty ring starts again at its beginning, whose memory is most likely in the processor's cache.
    if (this.#places === 0) this.#head = this.#tail = 0;
    const offset = this.#find(size);
    if (offset < 0) return -1;
    this.#head = offset + size;
    this.#places++;
    assert(this.#head <= this.capacity && this.#head !== this.#tail);
    return offset;
  }

  /** Takes the newest place, at `offset`, back. */
  cancel(offset: number): void {
    assert(this.#places > 0 && offset < this.#head);
    this.#head = offset;
    this.#places--;
  }

  /** Takes the oldest place back: `offset` and `length` as they were given out. */
  giveBack(offset: number, length: number): void {
    assert(this.#places > 0 && (offset === this.#tail || offset === 0));
    this.#tail = offset + aligned(length);
    this.#places--;
    assert(this.#places === 0 || this.#head !== this.#tail);
  }

  #find(size: number): number {
    if (this.#head < this.#tail) return this.#tail - this.#head > size ? this.#head : -1;
    if (this.capacity - this.#head >= size) return this.#head;
    return this.#tail > size ? 0 : -1;
  }
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}
