/**
 * The memory of a staging pool: PageChunks, reserved in slabs of several and given back to the system in slabs too.
 *
 *   chunks = free + used;  chunks ≤ chunksMax, but for chunks that `take` had to make above it: as many go again
 *   when chunks come back
 *
 * Slabs, because an allocator returns large pieces to the system (common/large-memory.ts) and keeps small ones. Touching new
 * memory costs about as much as filling it twice over (1 ms per MiB here): `grow` does that ahead of need.
 */
import assert from 'node:assert/strict';
import { MessageChannel } from 'node:worker_threads';
import { PAGE_BYTES } from './layout.ts';
import { PageChunk } from './page-chunk.ts';

export interface ChunkPoolOptions {
  /** Pages of a chunk that have content, and all of them. */
  chunkPages: number;
  chunkEntries?: number;
  /** Reserved at once, and kept. */
  chunksMin: number;
  /** At least `chunksMin`. */
  chunksMax: number;
}

/** Chunks of a slab: 1 MiB of chunks of 256 KiB. */
const SLAB_CHUNKS = 4;

interface Slab {
  memory: Buffer;
  chunks: PageChunk[];
  used: number;
}

export class ChunkPool {
  /** What happened since the start, in chunks. */
  readonly counters = {
    /** Reserved after the start. */
    grown: 0,
    /** Of these, the ones that were reserved when somebody needed them at once. */
    late: 0,
    /** Given back to the system. */
    shrunk: 0,
    /** Made above the bound. */
    overflows: 0,
  };
  readonly #options: ChunkPoolOptions;
  /** The chunk used last is taken first: then slabs become free as wholes. */
  #free: PageChunk[] = [];
  readonly #slabOf = new Map<PageChunk, Slab>();
  #used = 0;

  constructor(options: ChunkPoolOptions) {
    const { chunkPages, chunksMin, chunksMax } = options;
    assert(chunkPages > 0 && chunksMin > 0 && chunksMin <= chunksMax);
    this.#options = options;
    while (this.chunks < chunksMin) this.#addSlab(Math.min(SLAB_CHUNKS, chunksMin - this.chunks));
  }

  /** Chunks that there are. */
  get chunks(): number {
    return this.#slabOf.size;
  }

  /** Chunks that somebody has. */
  get used(): number {
    return this.#used;
  }

  get chunksMin(): number {
    return this.#options.chunksMin;
  }

  get chunksMax(): number {
    return this.#options.chunksMax;
  }

  get chunkBytes(): number {
    return this.#options.chunkPages * PAGE_BYTES;
  }

  /** An empty chunk; the pool grows for it, and above its bound too. */
  take(): PageChunk {
    if (this.#free.length === 0) this.#growLate();
    const chunk = this.#free.pop()!;
    this.#slabOf.get(chunk)!.used++;
    this.#used++;
    return chunk;
  }

  /** Takes a chunk back, with whatever it holds. */
  giveBack(chunk: PageChunk): void {
    const slab = this.#slabOf.get(chunk);
    assert(slab && slab.used > 0, 'a chunk comes back to its pool, once');
    slab.used--;
    this.#used--;
    chunk.reset();
    this.#free.push(chunk);
    const spare = this.chunks - slab.chunks.length >= this.#options.chunksMax;
    if (spare && slab.used === 0) this.#release([slab]);
  }

  /** Reserves a slab and touches its memory; false at the bound. */
  grow(): boolean {
    const room = this.#options.chunksMax - this.chunks;
    if (room <= 0) return false;
    const count = Math.min(SLAB_CHUNKS, room);
    this.#addSlab(count);
    this.counters.grown += count;
    return true;
  }

  /** Gives slabs back of which nothing is used, as long as `chunks` and those kept always are left. */
  shrink(chunks: number): void {
    const least = Math.max(chunks, this.#options.chunksMin);
    const going: Slab[] = [];
    let left = this.chunks;
    for (const slab of new Set(this.#slabOf.values())) {
      if (slab.used > 0 || left - slab.chunks.length < least) continue;
      left -= slab.chunks.length;
      going.push(slab);
    }
    if (going.length > 0) this.#release(going);
  }

  #growLate(): void {
    const room = this.#options.chunksMax - this.chunks;
    const count = room > 0 ? Math.min(SLAB_CHUNKS, room) : 1;
    this.#addSlab(count, false);
    if (room > 0) {
      this.counters.grown += count;
      this.counters.late += count;
    } else this.counters.overflows++;
  }

  #addSlab(count: number, touched = true): void {
    const { chunkPages, chunkEntries = chunkPages } = this.#options;
    const bytes = count * this.chunkBytes;
    const memory = touched ? Buffer.alloc(bytes, 0xff) : Buffer.allocUnsafeSlow(bytes);
    const slab: Slab = { memory, chunks: [], used: 0 };
    for (let n = 0; n < count; n++) {
      const data = memory.subarray(n * this.chunkBytes, (n + 1) * this.chunkBytes);
      const chunk = new PageChunk(chunkEntries, data);
      slab.chunks.push(chunk);
      this.#slabOf.set(chunk, slab);
      this.#free.push(chunk);
    }
  }

  #release(slabs: readonly Slab[]): void {
    for (const slab of slabs) {
      for (const chunk of slab.chunks) this.#slabOf.delete(chunk);
      this.counters.shrunk += slab.chunks.length;
    }
    this.#free = this.#free.filter(chunk => this.#slabOf.has(chunk));
    releaseMemory(slabs.map(slab => slab.memory));
  }
}

/**
 * Gives the memory of buffers back without waiting for a garbage collection, which a process that does little may never
 * have: it goes with a message that nobody receives. Whoever still has one of the buffers finds it empty.
 */
function releaseMemory(buffers: readonly Buffer[]): void {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.postMessage(
    undefined,
    buffers.map(({ buffer }) => buffer as ArrayBuffer),
  );
  port1.close();
}
