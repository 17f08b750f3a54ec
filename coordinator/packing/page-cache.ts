/**
 * Contents of some pages, in slots of a bounded memory that is taken as it is needed. When it is full, a page that was
 * not looked up since the hand last passed it makes room (CLOCK).
 *
 * Invariant: owner[slot] is the page whose content is in the slot, or -1; used slots ≤ slotsMax.
 */
import assert from 'node:assert/strict';
import { PAGE_BYTES } from '../checkpoint/layout.ts';

/** Slots that are taken at once: 1 MiB. */
const SEGMENT_SLOTS = 256;
const WORDS = PAGE_BYTES / 4;

export class PageCache {
  readonly slotsMax: number;
  readonly #segments: Uint32Array[] = [];
  readonly #owner: Int32Array;
  /** Whether the slot was looked up since the hand passed. */
  readonly #touched: Uint8Array;
  #used = 0;
  #hand = 0;
  readonly #evicted: (page: number) => void;

  /**
   * @param bytesMax At least one page's.
   * @param evicted The content of this page, as its owner numbers it, is gone.
   */
  constructor(bytesMax: number, evicted: (page: number) => void) {
    this.slotsMax = Math.max(1, Math.floor(bytesMax / PAGE_BYTES));
    this.#owner = new Int32Array(this.slotsMax).fill(-1);
    this.#touched = new Uint8Array(this.slotsMax);
    this.#evicted = evicted;
  }

  /** Bytes that are taken for contents. */
  get bytes(): number {
    return this.#segments.length * SEGMENT_SLOTS * PAGE_BYTES;
  }

  /** The words of a slot: a view, valid until the slot is given to another page. */
  words(slot: number): Uint32Array {
    this.#touched[slot] = 1;
    const at = (slot % SEGMENT_SLOTS) * WORDS;
    return this.#segments[Math.floor(slot / SEGMENT_SLOTS)]!.subarray(at, at + WORDS);
  }

  /** Puts a page in and returns its slot. */
  insert(page: number, words: Uint32Array): number {
    const slot = this.#used < this.slotsMax ? this.#take() : this.#evict();
    assert(this.#owner[slot] === -1, 'a free slot has no owner');
    this.#owner[slot] = page;
    this.words(slot).set(words);
    // A page that comes once makes room before those that come again.
    this.#touched[slot] = 0;
    return slot;
  }

  /** Forgets all contents, and keeps the memory. */
  clear(): void {
    this.#owner.fill(-1);
    this.#touched.fill(0);
    this.#used = 0;
    this.#hand = 0;
  }

  #take(): number {
    const slot = this.#used++;
    if (slot === this.#segments.length * SEGMENT_SLOTS) {
      this.#segments.push(new Uint32Array(SEGMENT_SLOTS * WORDS));
    }
    return slot;
  }

  #evict(): number {
    for (;;) {
      const slot = this.#hand;
      this.#hand = (this.#hand + 1) % this.slotsMax;
      if (this.#touched[slot] === 1) {
        this.#touched[slot] = 0;
        continue;
      }
      this.#evicted(this.#owner[slot]!);
      this.#owner[slot] = -1;
      return slot;
    }
  }
}
