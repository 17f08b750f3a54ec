/**
 * A run of pages, in the form in which it is staged, replicated, journalled and applied: one PAGES message.
 *
 *   entry  u16 block index, u8 kind, u8 fill byte, u32 page number          (8 bytes, big-endian, `count` of them)
 *   data   4096 bytes for each entry of kind `data`, in the entries' order
 *
 * A page is copied once into `data` and leaves from there. A chunk may have room for more entries than for contents.
 * Invariant: dataPages ≤ count ≤ capacity, dataPages ≤ dataPagesMax.
 */
import assert from 'node:assert/strict';
import { PAGE_BYTES } from './layout.ts';

export const ENTRY_BYTES = 8;
/** Pages in one chunk: 1 MiB of data. */
export const CHUNK_PAGES = 256;

export const PAGE_KIND = {
  /** 4096 bytes follow in `data`. */
  data: 1,
  /** Every byte of the page is the fill byte. */
  fill: 2,
} as const;

export class PageChunk {
  readonly entries: Buffer;
  readonly data: Buffer;
  readonly capacity: number;
  readonly dataPagesMax: number;
  count = 0;
  dataPages = 0;

  /**
   * @param capacity Pages, 1 or more.
   * @param data Where contents go, PAGE_BYTES for each page that may have some; for all, in memory of its own, unless given.
   */
  constructor(capacity: number = CHUNK_PAGES, data: Buffer = Buffer.alloc(capacity * PAGE_BYTES)) {
    this.capacity = capacity;
    this.dataPagesMax = Math.min(capacity, Math.floor(data.length / PAGE_BYTES));
    this.entries = Buffer.alloc(capacity * ENTRY_BYTES);
    this.data = data;
  }

  get full(): boolean {
    return this.count === this.capacity || this.dataPages === this.dataPagesMax;
  }

  get dataBytes(): number {
    return this.dataPages * PAGE_BYTES;
  }

  /** Adds a page and returns the offset in `data` where its 4096 bytes belong. */
  addData(block: number, page: number): number {
    assert(this.dataPages < this.dataPagesMax, 'a full chunk takes no page');
    this.#entry(block, PAGE_KIND.data, 0, page);
    return this.dataPages++ * PAGE_BYTES;
  }

  /** Adds a page that holds one byte throughout. */
  addFill(block: number, page: number, fill: number): void {
    this.#entry(block, PAGE_KIND.fill, fill, page);
  }

  /** Empties the chunk for its next use. */
  reset(): void {
    this.count = 0;
    this.dataPages = 0;
  }

  #entry(block: number, kind: number, fill: number, page: number): void {
    assert(this.count < this.capacity, 'a full chunk takes no page');
    const at = this.count++ * ENTRY_BYTES;
    this.entries.writeUInt16BE(block, at);
    this.entries[at + 2] = kind;
    this.entries[at + 3] = fill;
    this.entries.writeUInt32BE(page, at + 4);
  }
}
