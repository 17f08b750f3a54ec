/**
 * The way of recorded frames from the thread that sends them to the one that writes them: a ring of pcapng blocks in
 * shared memory, with one writer and one reader that never wait for each other. Pure.
 *
 *   0 head, 4 tail   where the next block will lie, and the oldest that is not given back: offsets in the ring
 *   8 ended          1: nothing is recorded any more
 *   64               per interface: frames that left, and those of them that found no room in the ring (f64 each)
 *   320              the ring
 *
 * A block never wraps around: the word 0 where a block would begin says that the next one is at the start, and so does
 * the ring's end. Invariant: all blocks lie in [tail, head), or, once head has wrapped, in [tail, end) and [0, head).
 * head = tail only when there is none.
 */
import assert from 'node:assert/strict';

const HEAD = 0;
const TAIL = 1;
const ENDED = 2;
const COUNTS_AT = 64;
/** As many as the proxy takes taps. */
export const INTERFACES_MAX = 16;
const RING_AT = COUNTS_AT + INTERFACES_MAX * 2 * 8;

export class RecordRing {
  readonly capacity: number;
  /** The ring. Offsets of blocks count from its start. */
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** Per interface, frames that left. Only the writer changes these. */
  readonly sent: Float64Array;
  /** Per interface, frames that left while there was no room for them in the ring. Only the writer changes these. */
  readonly missed: Float64Array;
  readonly #shared: Int32Array;
  #head = 0;
  #tail = 0;

  /** Memory for a ring of `capacity` bytes, a multiple of 4; all of it is touched. */
  static allocate(capacity: number): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(RING_AT + capacity);
    new Uint8Array(memory).fill(0);
    return memory;
  }

  /** One end of the ring in `memory`, which was allocated here. */
  constructor(memory: SharedArrayBuffer) {
    this.capacity = memory.byteLength - RING_AT;
    assert(this.capacity > 0 && this.capacity % 4 === 0);
    this.bytes = new Uint8Array(memory, RING_AT);
    this.words = new Uint32Array(memory, RING_AT);
    this.sent = new Float64Array(memory, COUNTS_AT, INTERFACES_MAX);
    this.missed = new Float64Array(memory, COUNTS_AT + INTERFACES_MAX * 8, INTERFACES_MAX);
    this.#shared = new Int32Array(memory, 0, COUNTS_AT / 4);
  }

  /** Whether nothing is recorded any more. */
  get ended(): boolean {
    return Atomics.load(this.#shared, ENDED) !== 0;
  }

  /** Ends it, from either side. */
  end(): void {
    Atomics.store(this.#shared, ENDED, 1);
  }

  /** The writer's: the offset of a place for a block of `length` bytes, a multiple of 4, or -1 when there is no room. */
  take(length: number): number {
    const tail = Atomics.load(this.#shared, TAIL);
    const head = this.#head;
    if (head < tail) return tail - head > length ? this.#advance(head, length) : -1;
    if (this.capacity - head >= length && (head + length < this.capacity || tail > 0))
      return this.#advance(head, length);
    if (tail <= length) return -1;
    if (head < this.capacity) this.words[head >>> 2] = 0;
    return this.#advance(0, length);
  }

  /** The writer's: shows the reader all blocks so far, which must be whole. */
  publish(): void {
    Atomics.store(this.#shared, HEAD, this.#head);
  }

  /** The reader's: bytes that blocks occupy; 0 when there is none. */
  get pending(): number {
    const used = Atomics.load(this.#shared, HEAD) - this.#skipEnd();
    return used < 0 ? used + this.capacity : used;
  }

  /**
   * The reader's: the oldest blocks that lie side by side, whole ones, together at most `bytesMax`. Empty when there is
   * none, or the next one is longer.
   */
  read(bytesMax: number): Buffer {
    const start = this.#skipEnd();
    const head = Atomics.load(this.#shared, HEAD);
    const end = head < start ? this.capacity : head;
    let at = start;
    while (at < end && this.words[at >>> 2] !== 0) {
      const next = at + this.words[(at + 4) >>> 2]!;
      if (next - start > bytesMax) break;
      at = next;
    }
    return Buffer.from(this.bytes.buffer, RING_AT + start, at - start);
  }

  /** The reader's: gives the room of what `read` returned back. */
  giveBack(length: number): void {
    this.#tail += length;
    assert(this.#tail <= this.capacity);
    Atomics.store(this.#shared, TAIL, this.#tail);
  }

  #advance(at: number, length: number): number {
    this.#head = at + length === this.capacity ? 0 : at + length;
    return at;
  }

  /** The tail, at the start again when no block is left before the ring's end. */
  #skipEnd(): number {
    const head = Atomics.load(this.#shared, HEAD);
    const atEnd = this.#tail === this.capacity;
    if (atEnd || (head < this.#tail && this.words[this.#tail >>> 2] === 0)) {
      this.#tail = 0;
      Atomics.store(this.#shared, TAIL, 0);
    }
    return this.#tail;
  }
}
