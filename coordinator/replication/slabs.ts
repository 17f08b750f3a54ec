/**
 * Memory that a socket's bytes are read into, and that is used again once nobody refers to them: fresh memory for every
 * read costs more than the read. Bytes lie one after the other in slabs; each slab counts its users.
 *
 * Who forgets to release only makes a slab go to the garbage collector. Who releases too early has its bytes written over,
 * so a release belongs where the last use is.
 *
 * Invariant: free slabs ≤ SLABS_MAX, and a slab is free when it has no users. `crowded` says that SLABS_MAX are in use:
 * then bytes that are to stay should be copied, so that few bytes cannot keep much memory.
 */
import assert from 'node:assert/strict';

const SLAB_BYTES = 1 << 20;
/** What a read is offered at least; a socket has seldom less when much comes. */
const SPACE_BYTES_MIN = 64 << 10;
/** 64 MiB. */
const SLABS_MAX = 64;

export class Slab {
  readonly buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  readonly #pool: SlabPool;
  #users = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Whether the pool of this slab is at its bound. */
  get crowded(): boolean {
    return this.#pool.crowded;
  }

  use(): void {
    this.#users++;
  }

  release(): void {
    assert(this.#users > 0, 'a slab is released as often as it is used');
    if (--this.#users === 0) this.#pool.back(this);
  }
}

export class SlabPool {
  readonly #free: Slab[] = [];
  #inUse = 0;
  /** The one that is read into; the pool is one of its users. */
  #current: Slab | undefined;
  #at = 0;

  get crowded(): boolean {
    return this.#inUse >= SLABS_MAX;
  }

  /** Where the next bytes are to be put, SPACE_BYTES_MIN or more. */
  space(): Buffer {
    if (!this.#current || SLAB_BYTES - this.#at < SPACE_BYTES_MIN) this.#next();
    return this.#current!.buffer.subarray(this.#at);
  }

  /** So many bytes were put at the start of `space`. They stay as they are while the slab is used. */
  filled(bytes: number): { chunk: Buffer; slab: Slab } {
    const slab = this.#current;
    assert(slab && bytes <= SLAB_BYTES - this.#at, 'bytes are put into the space that was given');
    const chunk = slab.buffer.subarray(this.#at, this.#at + bytes);
    this.#at += bytes;
    return { chunk, slab };
  }

  /** Takes a slab that has no users any more. */
  back(slab: Slab): void {
    this.#inUse--;
    if (this.#free.length < SLABS_MAX) this.#free.push(slab);
  }

  #next(): void {
    this.#current?.release();
    // The last one that came back is the likeliest to be in a cache still.
    this.#current = this.#free.pop() ?? new Slab(this);
    this.#inUse++;
    this.#current.use();
    this.#at = 0;
  }
}
