/**
 * Puts a chunk into the form of format.ts, as far as it is asked to. Pure, and the memory of what the backup has.
 *
 *   effort   does
 *   filter   leaves out pages that have not changed, and makes those of one byte throughout `fill`
 *   pack     that, lines that changed instead of pages where the content before is at hand, and LZ4 over all
 */
import assert from 'node:assert/strict';
import { type GuestLayout, PAGE_BYTES } from '../checkpoint/layout.ts';
import { ENTRY_BYTES, PAGE_KIND, type PageChunk } from '../checkpoint/page-chunk.ts';
import {
  LINE_BYTES,
  MASK_BYTES,
  PACK_METHOD,
  PACKED_ENTRY_BYTES,
  PACKED_KIND,
  PACKED_PREFIX_BYTES,
} from './format.ts';
import type { Lz4 } from './lz4.ts';
import { PagesDigest, pageHash } from './page-hash.ts';
import { SentPages } from './sent-pages.ts';

export type Effort = 'filter' | 'pack';

export const PACKED_KINDS = ['data', 'fill', 'same', 'delta'] as const;

const WORDS = PAGE_BYTES / 4;
const LINE_WORDS = LINE_BYTES / 4;
const LINES = PAGE_BYTES / LINE_BYTES;
/** A page with more changed lines than this is sent whole: LZ4 makes less of a dense XOR than of the content. */
const DELTA_LINES_MAX = 40;
/** LZ4 must save this share of the body to be worth what unpacking costs. */
const LZ4_SAVES_MIN = 0.05;

/** Pages by the form in which they were sent. */
export type PackedPages = Record<(typeof PACKED_KINDS)[number], number>;

export class Packer {
  /** Since the start; they only grow. */
  readonly counters: PackedPages = { data: 0, fill: 0, same: 0, delta: 0 };
  /** Pages that came with content and were sent without. */
  leftOut = 0;
  readonly #lz4: Lz4;
  readonly #layout: GuestLayout;
  readonly #cacheBytesMax: number | undefined;
  /** Nothing before a page with content was packed. */
  #sent: SentPages | undefined;
  readonly #digest = new PagesDigest();
  /** Entries, and what belongs to them; grown to the largest chunk. */
  #entries = Buffer.alloc(0);
  #body = new Uint32Array(0);
  #bodyBytes = Buffer.alloc(0);
  #count = 0;
  #words = 0;
  #kind = 0;
  #block = 0;
  #fill = 0;
  #endPage = 0;
  #lastAt = 0;

  /** @param cacheBytesMax Contents that are kept. Default a quarter of the guest's memory, at most 256 MiB. */
  constructor(lz4: Lz4, layout: GuestLayout, cacheBytesMax?: number) {
    this.#lz4 = lz4;
    this.#layout = layout;
    this.#cacheBytesMax = cacheBytesMax;
  }

  /** Bytes of page contents that are kept. */
  get cacheBytes(): number {
    return this.#sent?.cacheBytes ?? 0;
  }

  /** A checkpoint begins, and the one before it was sent whole. */
  next(): void {
    this.#sent?.next();
  }

  /** The chunk is sent as it is, by PAGES. */
  passed(chunk: PageChunk): void {
    if (!this.#sent) return;
    const { entries, count } = chunk;
    for (let at = 0; at < count * ENTRY_BYTES; at += ENTRY_BYTES) {
      this.#forget(entries.readUInt16BE(at), entries.readUInt32BE(at + 4));
    }
  }

  /**
   * The payload of a PACKED message with the chunk's pages, in memory of its own; the chunk is not needed any more.
   * It must be sent, and after all that was packed before it.
   */
  pack(chunk: PageChunk, effort: Effort): Buffer[] {
    this.#begin(chunk);
    const words = wordsOf(chunk.data);
    let data = 0;
    for (let at = 0; at < chunk.count * ENTRY_BYTES; at += ENTRY_BYTES) {
      const block = chunk.entries.readUInt16BE(at);
      const page = chunk.entries.readUInt32BE(at + 4);
      if (chunk.entries[at + 2] === PAGE_KIND.fill) {
        this.#filled(block, page, chunk.entries[at + 3]!);
      } else {
        this.#page(block, page, words.subarray(data, data + WORDS), effort);
        data += WORDS;
      }
    }
    return this.#payload(chunk.count, effort);
  }

  #begin(chunk: PageChunk): void {
    this.#count = 0;
    this.#words = 0;
    this.#kind = 0;
    if (this.#entries.length >= chunk.capacity * PACKED_ENTRY_BYTES) return;
    this.#entries = Buffer.alloc(chunk.capacity * PACKED_ENTRY_BYTES);
    // A delta of all lines is written before it is found too long.
    this.#body = new Uint32Array(chunk.capacity * (WORDS + MASK_BYTES / 4));
    this.#bodyBytes = Buffer.from(this.#body.buffer);
  }

  #filled(block: number, page: number, fill: number): void {
    this.#forget(block, page);
    this.#entry(PACKED_KIND.fill, block, page, fill);
    this.counters.fill++;
  }

  #forget(block: number, page: number): void {
    this.#sent?.forget(this.#sent.index(block, page));
  }

  #page(block: number, page: number, words: Uint32Array, effort: Effort): void {
    const fill = fillOf(words);
    if (fill >= 0) {
      this.leftOut++;
      return this.#filled(block, page, fill);
    }
    this.#sent ??= new SentPages(this.#layout, this.#cacheBytesMax);
    const sent = this.#sent;
    const index = sent.index(block, page);
    const hash = pageHash(bytesOf(words));
    this.#digest.add(hash);
    const known = sent.known(index);
    if (known && sent.hash(index) === hash && same(words, sent.content(index))) {
      this.counters.same++;
      this.leftOut++;
      // Its content is what it was, and the backup has it: nothing to note.
      return this.#entry(PACKED_KIND.same, block, page, 0);
    }
    const before = known && effort === 'pack' ? sent.content(index) : undefined;
    if (before && this.#delta(words, before)) {
      this.counters.delta++;
      this.#entry(PACKED_KIND.delta, block, page, 0);
    } else {
      this.counters.data++;
      this.#body.set(words, this.#words);
      this.#words += WORDS;
      this.#entry(PACKED_KIND.data, block, page, 0);
    }
    sent.note(index, hash, words, effort === 'pack');
  }

  /** Writes the changed lines; false, and nothing is written, when there are too many. */
  #delta(words: Uint32Array, before: Uint32Array): boolean {
    const body = this.#body;
    const maskAt = this.#words;
    let out = maskAt + MASK_BYTES / 4;
    let low = 0;
    let high = 0;
    let lines = 0;
    for (let line = 0; line < LINES; line++) {
      let changed = 0;
      const at = line * LINE_WORDS;
      for (let word = 0; word < LINE_WORDS; word++) {
        const difference = words[at + word]! ^ before[at + word]!;
        body[out + word] = difference;
        changed |= difference;
      }
      if (changed === 0) continue;
      if (++lines > DELTA_LINES_MAX) return false;
      out += LINE_WORDS;
      if (line < 32) low |= 1 << line;
      else high |= 1 << (line - 32);
    }
    this.#bodyBytes.writeInt32BE(high, 4 * maskAt);
    this.#bodyBytes.writeInt32BE(low, 4 * maskAt + 4);
    this.#words = out;
    return true;
  }

  /** Adds a page to the run before it if it belongs there. */
  #entry(kind: number, block: number, page: number, fill: number): void {
    const entries = this.#entries;
    if (
      kind === this.#kind &&
      block === this.#block &&
      fill === this.#fill &&
      page === this.#endPage
    ) {
      entries.writeUInt32BE(entries.readUInt32BE(this.#lastAt + 8) + 1, this.#lastAt + 8);
      this.#endPage++;
      return;
    }
    const at = this.#count++ * PACKED_ENTRY_BYTES;
    entries.writeUInt16BE(block, at);
    entries[at + 2] = kind;
    entries[at + 3] = fill;
    entries.writeUInt32BE(page, at + 4);
    entries.writeUInt32BE(1, at + 8);
    this.#kind = kind;
    this.#block = block;
    this.#fill = fill;
    this.#endPage = page + 1;
    this.#lastAt = at;
  }

  #payload(pages: number, effort: Effort): Buffer[] {
    assert(this.#count > 0, 'a chunk has pages');
    const entries = this.#entries.subarray(0, this.#count * PACKED_ENTRY_BYTES);
    const content = this.#bodyBytes.subarray(0, 4 * this.#words);
    // Copied: what is sent must not change, and these are for the next chunk.
    const body = Buffer.concat([entries, content]);
    const packed = effort === 'pack' ? this.#lz4.compressSync(body) : body;
    const smaller = packed.length < body.length * (1 - LZ4_SAVES_MIN);
    const prefix = Buffer.alloc(PACKED_PREFIX_BYTES);
    prefix.writeUInt32BE(this.#count, 0);
    prefix.writeUInt32BE(pages, 4);
    prefix.writeUInt32BE(body.length, 8);
    prefix[12] = smaller ? PACK_METHOD.lz4 : PACK_METHOD.stored;
    prefix.writeBigUInt64BE(this.#digest.take(), 16);
    return [prefix, smaller ? packed : body];
  }
}

/** Whether the page is what was sent, as far as that is at hand. Two contents may have one hash, by chance or by intent. */
function same(words: Uint32Array, before: Uint32Array | undefined): boolean {
  if (!before) return true;
  for (let at = 0; at < WORDS; at++) if (words[at] !== before[at]) return false;
  return true;
}

/** The byte that the page holds throughout, or -1. Usual pages are told by their first words. */
function fillOf(words: Uint32Array): number {
  const first = words[0]!;
  const byte = first & 0xff;
  if (first !== Math.imul(byte, 0x01010101) >>> 0) return -1;
  for (let at = 1; at < WORDS; at++) if (words[at] !== first) return -1;
  return byte;
}

function wordsOf(data: Buffer): Uint32Array {
  assert(data.byteOffset % 4 === 0, 'the memory of a chunk is aligned');
  return new Uint32Array(data.buffer, data.byteOffset, data.length / 4);
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}
