/**
 * Where the pages of a checkpoint are put while QEMU's guest waits: a pool of PageChunks, which grows with what is in use
 * and shrinks again (pool-plan.ts). A full chunk goes to its consumer (replication), who gives it back with `recycle`;
 * the partial one goes when the checkpoint ends.
 *
 * At the bound `starved` is true and the reader of QEMU's socket pauses until `whenFree` calls it back. What one socket
 * chunk still holds is always taken: for that, chunks above the bound are made, and dropped when they come back.
 *
 *   used = lent + (0 or 1 being filled);  used > the bound only while starved
 */
import assert from 'node:assert/strict';
import type { PageSink, PageTarget } from '../qemu/page-sink.ts';
import { ChunkPool } from './chunk-pool.ts';
import { PAGE_BYTES } from './layout.ts';
import { CHUNK_PAGES, type PageChunk } from './page-chunk.ts';
import { PoolPlan } from './pool-plan.ts';

export interface StagingOptions {
  /** The bound: bytes of page data in the pool, but at least two chunks. Default 64 MiB. */
  poolBytes?: number;
  /** The bound until `copied` is called; the guest runs then and QEMU is what is held back. Default: as above. */
  copyBytes?: number;
  /** Pages of one chunk that have content. Default 256 (1 MiB). */
  chunkPages?: number;
  /** Pages of one chunk, those of one byte throughout included. Default: as many. */
  chunkEntries?: number;
  /** Takes a chunk that is full, or the last of its checkpoint. It belongs to the callee until `recycle`. */
  onChunk(chunk: PageChunk): void;
}

const POOL_BYTES = 64 << 20;
/** Reserved at once, and kept: more than most checkpoints. */
const KEPT_BYTES = 4 << 20;
const CHUNKS_MIN = 2;

/** Names as in the telemetry's WorkCounters. */
export interface StagingWork {
  guestWaits: number;
  stagingOverflows: number;
  stagingGrownBytes: number;
  stagingShrunkBytes: number;
}

export class Staging implements PageSink {
  /** What happened since the start. */
  readonly counters = {
    /** Pages with content. */
    dataPages: 0,
    /** Pages of one byte throughout. */
    fillPages: 0,
    /** Bytes of page content staged. */
    dataBytes: 0,
    /** Chunks handed to the consumer. */
    chunks: 0,
    /** Times that reading waited for a chunk. */
    waits: 0,
    /** Of these, the ones while the full copy came. */
    copyWaits: 0,
  };
  readonly target: PageTarget = { buffer: Buffer.alloc(0), offset: 0 };
  readonly #onChunk: (chunk: PageChunk) => void;
  readonly #pool: ChunkPool;
  readonly #plan: PoolPlan;
  readonly #lent = new Set<PageChunk>();
  #chunksMax: number;
  #copying: boolean;
  #current: PageChunk | undefined;
  #onFree: (() => void) | undefined;
  /** The most chunks in use at once: since the last `tend`, and ever. */
  #peak = 0;
  #peakEver = 0;

  constructor(options: StagingOptions) {
    this.#onChunk = options.onChunk;
    const chunkPages = options.chunkPages ?? CHUNK_PAGES;
    const chunksOf = (bytes: number) =>
      Math.max(CHUNKS_MIN, Math.floor(bytes / (chunkPages * PAGE_BYTES)));
    const chunksMax = chunksOf(options.poolBytes ?? POOL_BYTES);
    const chunksMin = Math.min(chunksMax, chunksOf(KEPT_BYTES));
    const { chunkEntries = chunkPages } = options;
    this.#pool = new ChunkPool({ chunkPages, chunkEntries, chunksMin, chunksMax });
    this.#plan = new PoolPlan({ chunksMin, chunksMax });
    this.#copying = options.copyBytes !== undefined;
    this.#chunksMax = Math.min(chunksMax, chunksOf(options.copyBytes ?? Number.MAX_SAFE_INTEGER));
  }

  /** Whether the pool is above its bound, or the next page would lift it above. */
  get starved(): boolean {
    const { used } = this.#pool;
    return this.#current ? used > this.#chunksMax : used >= this.#chunksMax;
  }

  /** Bytes of page data that the pool has reserved now. */
  get reservedBytes(): number {
    return this.#pool.chunks * this.#pool.chunkBytes;
  }

  /** The most that it may reserve. */
  get boundBytes(): number {
    return this.#pool.chunksMax * this.#pool.chunkBytes;
  }

  /** The most that was in use at once. */
  get peakBytes(): number {
    return this.#peakEver * this.#pool.chunkBytes;
  }

  /** Times that a stopped guest waited: not those of a copy, during which it runs. */
  get guestWaits(): number {
    return this.counters.waits - this.counters.copyWaits;
  }

  /** Pages staged since the start, of either kind. */
  get pages(): number {
    return this.counters.dataPages + this.counters.fillPages;
  }

  /** For who exports them. */
  get memory(): { bytes: number; peakBytes: number; boundBytes: number } {
    return { bytes: this.reservedBytes, peakBytes: this.peakBytes, boundBytes: this.boundBytes };
  }

  /** Its part of a protection's counters. */
  get work(): StagingWork {
    const { overflows, grownBytes, shrunkBytes } = this.poolCounters;
    return {
      guestWaits: this.guestWaits,
      stagingOverflows: overflows,
      stagingGrownBytes: grownBytes,
      stagingShrunkBytes: shrunkBytes,
    };
  }

  /** What the pool did: bytes reserved after the start, given back, and chunks made above the bound. */
  get poolCounters(): {
    grownBytes: number;
    lateBytes: number;
    shrunkBytes: number;
    overflows: number;
  } {
    const { grown, late, shrunk, overflows } = this.#pool.counters;
    const bytes = this.#pool.chunkBytes;
    return {
      grownBytes: grown * bytes,
      lateBytes: late * bytes,
      shrunkBytes: shrunk * bytes,
      overflows,
    };
  }

  /** Chunks that the consumer has not given back. */
  get lentChunks(): number {
    return this.#lent.size;
  }

  dataPage(block: number, page: number): void {
    const chunk = this.#current ?? this.#take();
    this.target.buffer = chunk.data;
    this.target.offset = chunk.addData(block, page);
  }

  pageDone(): void {
    this.counters.dataPages++;
    this.counters.dataBytes += PAGE_BYTES;
    this.#handOver(true);
  }

  fillPage(block: number, page: number, fill: number): void {
    const chunk = this.#current ?? this.#take();
    chunk.addFill(block, page, fill);
    this.counters.fillPages++;
    this.#handOver(true);
  }

  /** The checkpoint has ended: its last chunk goes to the consumer. */
  flush(): void {
    this.#handOver(false);
  }

  /** The full copy has come: checkpoints follow, for which a guest waits. */
  copied(): void {
    this.#copying = false;
    this.#chunksMax = this.#pool.chunksMax;
    // A copy has nothing to say of the size of checkpoints.
    this.#peak = 0;
    this.#wake();
  }

  /** The checkpoint will not end: its partial chunk is emptied. The consumer still gives back what it was handed. */
  discard(): void {
    const chunk = this.#current;
    this.#current = undefined;
    if (chunk) this.#pool.giveBack(chunk);
    this.#onFree = undefined;
  }

  /** Takes back a chunk that `onChunk` was given. */
  recycle(chunk: PageChunk): void {
    assert(this.#lent.delete(chunk), 'a chunk came back that was not lent');
    this.#pool.giveBack(chunk);
    this.#wake();
  }

  /** Calls `callback` once, when the pool has a chunk again; only while starved. Counts a wait. */
  whenFree(callback: () => void): void {
    assert(this.starved && !this.#onFree, 'there is nothing to wait for, or somebody waits');
    this.counters.waits++;
    if (this.#copying) this.counters.copyWaits++;
    this.#onFree = callback;
  }

  /**
   * Grows the pool by one slab, or gives back what was not needed for a while. Takes about a millisecond: to be called
   * when no guest waits, after each checkpoint and when it says so.
   * @returns when to call it again: at once for more growth, in a second for what may be given back, or not at all
   */
  tend(now: number): 'soon' | 'later' | 'never' {
    this.#plan.used(this.#peak, now);
    this.#peak = this.#pool.used;
    const next = this.#plan.next(this.#pool.chunks, now);
    if (next > this.#pool.chunks && this.#pool.grow() && next > this.#pool.chunks) return 'soon';
    if (next < this.#pool.chunks) this.#pool.shrink(next);
    return this.#pool.chunks > this.#pool.chunksMin ? 'later' : 'never';
  }

  #wake(): void {
    if (this.starved) return;
    const onFree = this.#onFree;
    this.#onFree = undefined;
    onFree?.();
  }

  #take(): PageChunk {
    const chunk = this.#pool.take();
    this.#peak = Math.max(this.#peak, this.#pool.used);
    this.#peakEver = Math.max(this.#peakEver, this.#peak);
    this.#current = chunk;
    return chunk;
  }

  /** Gives the current chunk to the consumer: when it is full, or whatever it holds. */
  #handOver(whenFull: boolean): void {
    const chunk = this.#current;
    if (!chunk || (whenFull && !chunk.full)) return;
    this.#current = undefined;
    this.#lent.add(chunk);
    this.counters.chunks++;
    this.#onChunk(chunk);
  }
}
