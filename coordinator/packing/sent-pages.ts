/**
 * What the backup has of each page, as far as the sender knows: the hash of the content that was sent last, and of some
 * pages that content. 16 bytes for each page of the guest, and the cache.
 *
 * A page is known from the checkpoint after the one in which it was sent: within one checkpoint nothing refers to what
 * came in it. Whoever sends a page in another way than through `note` must `forget` it.
 */
import { type GuestLayout, PAGE_BYTES } from '../checkpoint/layout.ts';
import { PageCache } from './page-cache.ts';

const NEVER = 0;
const NO_SLOT = -1;
/** Contents are kept for this share of the guest's memory, and no more than this. */
const CACHE_SHARE = 0.25;
const CACHE_BYTES_MAX = 256 << 20;

export class SentPages {
  readonly #first: readonly number[];
  readonly #hashes: BigUint64Array;
  /** The number of the checkpoint in which the page was sent; NEVER when that is not known. */
  readonly #sentIn: Uint32Array;
  readonly #slots: Int32Array;
  readonly #cache: PageCache;
  #checkpoint = NEVER + 1;

  constructor({ blocks }: GuestLayout, cacheBytesMax?: number) {
    const first: number[] = [];
    let pages = 0;
    for (const { bytes } of blocks) {
      first.push(pages);
      pages += Math.ceil(bytes / PAGE_BYTES);
    }
    this.#first = first;
    this.#hashes = new BigUint64Array(pages);
    this.#sentIn = new Uint32Array(pages);
    this.#slots = new Int32Array(pages).fill(NO_SLOT);
    const share = Math.min(CACHE_BYTES_MAX, CACHE_SHARE * pages * PAGE_BYTES);
    this.#cache = new PageCache(cacheBytesMax ?? share, page => {
      this.#slots[page] = NO_SLOT;
    });
  }

  /** Bytes of contents that are kept. */
  get cacheBytes(): number {
    return this.#cache.bytes;
  }

  /** A checkpoint begins: what was sent before it may be referred to. */
  next(): void {
    if (this.#checkpoint === 0xffff_ffff) this.clear();
    this.#checkpoint++;
  }

  /** The number of a page in all of the others' calls. */
  index(block: number, page: number): number {
    return this.#first[block]! + page;
  }

  /** Whether the backup has the page as an earlier checkpoint left it, and it is known how. */
  known(index: number): boolean {
    const sentIn = this.#sentIn[index]!;
    return sentIn !== NEVER && sentIn !== this.#checkpoint;
  }

  hash(index: number): bigint {
    return this.#hashes[index]!;
  }

  /** The content that was sent last, of a known page; a view. Undefined when only its hash is known. */
  content(index: number): Uint32Array | undefined {
    const slot = this.#slots[index]!;
    return slot === NO_SLOT ? undefined : this.#cache.words(slot);
  }

  /**
   * The page is sent in this checkpoint.
   * @param keep Whether its content may take the place of another page's.
   */
  note(index: number, hash: bigint, words: Uint32Array, keep: boolean): void {
    this.#hashes[index] = hash;
    this.#sentIn[index] = this.#checkpoint;
    const slot = this.#slots[index]!;
    if (slot !== NO_SLOT) this.#cache.words(slot).set(words);
    else if (keep) this.#slots[index] = this.#cache.insert(index, words);
  }

  /** The page is sent in a way that nobody noted. Its slot is its own until it is noted again. */
  forget(index: number): void {
    this.#sentIn[index] = NEVER;
  }

  /** Nothing is known of any page. */
  clear(): void {
    this.#sentIn.fill(NEVER);
    this.#slots.fill(NO_SLOT);
    this.#cache.clear();
    this.#checkpoint = NEVER + 1;
  }
}
