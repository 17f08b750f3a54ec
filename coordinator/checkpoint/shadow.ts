/**
 * The guest's memory as of a checkpoint: the main block in a file that the standby QEMU maps, the
 * small blocks in another file (for a restart of this process) and in memory (for a failover).
 *
 * Invariant: memory and file of the small blocks are equal after every `apply`.
 */
import fs from 'node:fs';
import { messageOf } from '../../common/errors.ts';
import type { PagesRecord } from '../replication/parse.ts';
import { type GuestLayout, PAGE_BYTES } from './layout.ts';
import { type PageRun, pageRuns } from './runs.ts';
import { type StoreIo, storeError } from './store-io.ts';

const FILL_BYTES = 64 << 10;

export class Shadow {
  readonly #io: StoreIo;
  readonly #layout: GuestLayout;
  readonly #mainFd: number;
  readonly #othersFd: number;
  /** Where each block begins among the small ones; -1 for the main block. */
  readonly #offsets: readonly number[];
  readonly #others: Buffer;
  /**
   * One byte for each main page that was written since it was zeroed, while a full copy comes in.
   */
  #written: Uint8Array | undefined;
  #fill = Buffer.alloc(FILL_BYTES);

  constructor(io: StoreIo, layout: GuestLayout, mainFd: number, othersFd: number) {
    this.#io = io;
    this.#layout = layout;
    this.#mainFd = mainFd;
    this.#othersFd = othersFd;
    let bytes = 0;
    this.#offsets = layout.blocks.map((block, index) => {
      if (index === layout.mainBlock) return -1;
      const offset = bytes;
      bytes += Math.ceil(block.bytes / PAGE_BYTES) * PAGE_BYTES;
      return offset;
    });
    this.#others = Buffer.alloc(bytes);
  }

  /**
   * The main file is all zeros now; makes the small blocks so. Zero pages need not be written until
   * `settle`.
   */
  clear(): void {
    this.#io.truncate(this.#othersFd, 0);
    this.#io.truncate(this.#othersFd, this.#others.length);
    const { bytes } = this.#layout.blocks[this.#layout.mainBlock]!;
    this.#written = new Uint8Array(bytes / PAGE_BYTES);
  }

  /** A full copy is complete. */
  settle(): void {
    this.#written = undefined;
    this.#io.sync(this.#mainFd);
    this.#io.sync(this.#othersFd);
  }

  /**
   * Takes the small blocks from their file, after a restart.
   * @throws CurlingError CURLING_STORE when the file has another size.
   */
  load(): void {
    const size = fs.fstatSync(this.#othersFd).size;
    const expected = this.#others.length;
    if (size !== expected) throw storeError(`small blocks have ${size} bytes, not ${expected}`);
    for (let at = 0; at < expected; ) {
      at += fs.readSync(this.#othersFd, this.#others, at, expected - at, at);
    }
  }

  /** Writes the pages of one chunk, run by run. Applying a chunk again changes nothing. */
  apply(record: PagesRecord): void {
    const data = record.data.cursor();
    for (const run of pageRuns(record.entries)) {
      const bytes = run.pages * PAGE_BYTES;
      const buffers = run.fill === undefined ? data.take(bytes) : this.#filled(run.fill, bytes);
      if (run.block === this.#layout.mainBlock) this.#writeMain(run, buffers);
      else this.#writeOther(run, buffers);
    }
  }

  /**
   * Copies one page into `into`.
   * @throws CurlingError CURLING_STORE
   */
  readonly read = (block: number, page: number, into: Buffer): void => {
    const offset = page * PAGE_BYTES;
    if (block !== this.#layout.mainBlock) {
      const start = this.#offsets[block]! + offset;
      this.#others.copy(into, 0, start, start + PAGE_BYTES);
      return;
    }
    let length: number;
    try {
      length = fs.readSync(this.#mainFd, into, 0, PAGE_BYTES, offset);
    } catch (error) {
      throw storeError(`cannot read page ${page}: ${messageOf(error)}`, error);
    }
    if (length !== PAGE_BYTES) throw storeError(`page ${page} has ${length} bytes`);
  };

  /** The small blocks by index; views, which the next `apply` changes. */
  otherBlocks(): Map<number, Buffer> {
    const blocks = new Map<number, Buffer>();
    this.#layout.blocks.forEach(({ bytes }, index) => {
      const offset = this.#offsets[index]!;
      if (offset >= 0) blocks.set(index, this.#others.subarray(offset, offset + bytes));
    });
    return blocks;
  }

  #writeMain(run: PageRun, buffers: readonly Buffer[]): void {
    if (this.#written) {
      const fresh = !this.#written.subarray(run.page, run.page + run.pages).includes(1);
      if (run.fill === 0 && fresh) return;
      this.#written.fill(1, run.page, run.page + run.pages);
    }
    this.#io.write(this.#mainFd, buffers, run.page * PAGE_BYTES);
  }

  #writeOther(run: PageRun, buffers: readonly Buffer[]): void {
    const start = this.#offsets[run.block]! + run.page * PAGE_BYTES;
    this.#io.write(this.#othersFd, buffers, start);
    let at = start;
    for (const buffer of buffers) at += buffer.copy(this.#others, at);
  }

  #filled(fill: number, bytes: number): Buffer[] {
    if (this.#fill[0] !== fill) this.#fill.fill(fill);
    const buffers: Buffer[] = [];
    for (let left = bytes; left > 0; left -= FILL_BYTES) {
      buffers.push(this.#fill.subarray(0, Math.min(left, FILL_BYTES)));
    }
    return buffers;
  }
}

/** Bytes of all blocks but the main one, in whole pages. */
export function otherBytesOf(layout: GuestLayout): number {
  return layout.blocks.reduce(
    (sum, { bytes }, index) =>
      index === layout.mainBlock ? sum : sum + Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES,
    0,
  );
}
