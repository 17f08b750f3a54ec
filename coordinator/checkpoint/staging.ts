/**
 * Where the pages of a checkpoint are put while QEMU's guest waits: a bounded pool of PageChunks. A full chunk goes to
 * its consumer (replication), who gives it back with `recycle`; the partial one goes when the checkpoint ends.
 *
 * At the bound `starved` is true and the reader of QEMU's socket pauses until `whenFree` calls it back. What one socket
 * chunk still holds is always taken: for that, chunks above the bound are made, and dropped when they come back.
 *
 *   free + lent + (0 or 1 being filled) = chunks;  chunks > chunksMax only while starved
 */
import assert from 'node:assert/strict';
import type { PageSink, PageTarget } from '../qemu/page-sink.ts';
import { PAGE_BYTES } from './layout.ts';
import { CHUNK_PAGES, PageChunk } from './page-chunk.ts';

export interface StagingOptions {
  /** Bytes of page data in the pool, all reserved at once; at least two chunks (2 MiB) are. Default 64 MiB. */
  poolBytes?: number;
  /** Pages of one chunk. Default 256 (1 MiB); smaller ones are for tests. */
  chunkPages?: number;
  /** Takes a chunk that is full, or the last of its checkpoint. It belongs to the callee until `recycle`. */
  onChunk(chunk: PageChunk): void;
}

const POOL_BYTES = 64 << 20;
const CHUNKS_MIN = 2;

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
    /** Chunks made above the bound. */
    overflows: 0,
  };
  readonly target: PageTarget;
  readonly #onChunk: (chunk: PageChunk) => void;
  readonly #chunkPages: number;
  readonly #chunksMax: number;
  readonly #free: PageChunk[] = [];
  readonly #lent = new Set<PageChunk>();
  #current: PageChunk | undefined;
  #onFree: (() => void) | undefined;

  constructor(options: StagingOptions) {
    this.#onChunk = options.onChunk;
    this.#chunkPages = options.chunkPages ?? CHUNK_PAGES;
    const chunkBytes = this.#chunkPages * PAGE_BYTES;
    const chunks = Math.floor((options.poolBytes ?? POOL_BYTES) / chunkBytes);
    this.#chunksMax = Math.max(CHUNKS_MIN, chunks);
    for (let i = 0; i < this.#chunksMax; i++) this.#free.push(new PageChunk(this.#chunkPages));
    this.target = { buffer: this.#free[0]!.data, offset: 0 };
  }

  /** Whether the pool is above its bound, or the next page would lift it above. */
  get starved(): boolean {
    if (this.#free.length > 0) return false;
    return this.#current === undefined || this.#chunks > this.#chunksMax;
  }

  /** Bytes of page data that the pool has reserved now. */
  get reservedBytes(): number {
    return this.#chunks * this.#chunkPages * PAGE_BYTES;
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

  /** The checkpoint will not end: its partial chunk is emptied. The consumer still gives back what it was handed. */
  discard(): void {
    const chunk = this.#current;
    this.#current = undefined;
    if (chunk) this.#putBack(chunk);
    this.#onFree = undefined;
  }

  /** Takes back a chunk that `onChunk` was given. */
  recycle(chunk: PageChunk): void {
    assert(this.#lent.delete(chunk), 'a chunk came back that was not lent');
    this.#putBack(chunk);
    if (this.starved) return;
    const onFree = this.#onFree;
    this.#onFree = undefined;
    onFree?.();
  }

  /** Calls `callback` once, when the pool has a chunk again; only while starved. Counts a wait. */
  whenFree(callback: () => void): void {
    assert(this.starved && !this.#onFree, 'there is nothing to wait for, or somebody waits');
    this.counters.waits++;
    this.#onFree = callback;
  }

  get #chunks(): number {
    return this.#free.length + this.#lent.size + (this.#current ? 1 : 0);
  }

  #take(): PageChunk {
    let chunk = this.#free.pop();
    if (!chunk) {
      chunk = new PageChunk(this.#chunkPages);
      this.counters.overflows++;
    }
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

  #putBack(chunk: PageChunk): void {
    // The chunk is in none of the three places here: it stays only while it fits under the bound.
    if (this.#chunks >= this.#chunksMax) return;
    chunk.reset();
    this.#free.push(chunk);
  }
}
