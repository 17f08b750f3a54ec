/**
 * Bytes that lie in several buffers, such as a payload in the chunks that a socket delivered. Pages
 * go from here to the files without being joined.
 *
 * Invariant: `bytes` is the sum of the pieces' lengths, no piece is empty, and there are at most
 * bytes/1024 + 256 pieces or so: many tiny ones are joined, so that a peer that sends single bytes
 * cannot make the list longer than the data. Every slab that a piece lies in is used once.
 */
import assert from 'node:assert/strict';
import type { Slab } from './slabs.ts';

const TAIL_PIECES_MAX = 256;
const JOIN_BELOW_BYTES = 1024 * TAIL_PIECES_MAX;

export class Rope {
  readonly pieces: Buffer[] = [];
  bytes = 0;
  #tailPieces = 0;
  #tailBytes = 0;
  readonly #slabs: Slab[] = [];

  static of(...pieces: Buffer[]): Rope {
    const rope = new Rope();
    for (const piece of pieces) rope.push(piece);
    return rope;
  }

  /**
   * Adds a view; the memory stays the caller's and must not change any more.
   * @param slab What the view lies in: it is used until `release`.
   */
  push(piece: Buffer, slab?: Slab): void {
    if (piece.length === 0) return;
    if (slab && this.#slabs.at(-1) !== slab) {
      slab.use();
      this.#slabs.push(slab);
    }
    this.bytes += piece.length;
    const last = this.pieces.at(-1);
    const joined = slab && last && joinedViews(last, piece);
    if (joined) {
      this.pieces[this.pieces.length - 1] = joined;
      return;
    }
    this.pieces.push(piece);
    this.#tailBytes += piece.length;
    if (++this.#tailPieces < TAIL_PIECES_MAX) return;
    if (this.#tailBytes < JOIN_BELOW_BYTES) {
      this.pieces.push(Buffer.concat(this.pieces.splice(-TAIL_PIECES_MAX), this.#tailBytes));
    }
    this.#tailPieces = 0;
    this.#tailBytes = 0;
  }

  /** All bytes in one buffer, copied only when they lie in more than one. */
  flat(): Buffer {
    return this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces, this.bytes);
  }

  /** Whether any of it lies in slabs. */
  get leased(): boolean {
    return this.#slabs.length > 0;
  }

  /** Gives slabs back. If there are any, the rope is empty then, and views of it must not be used. */
  release(): void {
    if (!this.leased) return;
    for (const slab of this.#slabs.splice(0)) slab.release();
    this.clear();
  }

  clear(): void {
    this.pieces.length = 0;
    this.bytes = 0;
  }

  /** Copies what lies in slabs, and gives them back; views that were taken before must not be used. */
  own(): void {
    if (!this.leased) return;
    const copy = Buffer.concat(this.pieces, this.bytes);
    this.release();
    this.push(copy);
  }

  /** Reads from the front; several cursors do not disturb each other. */
  cursor(): RopeCursor {
    return new RopeCursor(this);
  }
}

export class RopeCursor {
  readonly #pieces: readonly Buffer[];
  #index = 0;
  #offset = 0;
  #left: number;

  constructor(rope: Rope) {
    this.#pieces = rope.pieces;
    this.#left = rope.bytes;
  }

  /** Bytes not taken yet. */
  get left(): number {
    return this.#left;
  }

  /** The next `bytes` bytes as views, at most `left`. */
  take(bytes: number): Buffer[] {
    assert(bytes <= this.#left, 'a cursor takes no more than is left');
    this.#left -= bytes;
    const taken: Buffer[] = [];
    while (bytes > 0) {
      const piece = this.#pieces[this.#index]!;
      const end = Math.min(piece.length, this.#offset + bytes);
      taken.push(piece.subarray(this.#offset, end));
      bytes -= end - this.#offset;
      this.#offset = end;
      if (end === piece.length) {
        this.#index++;
        this.#offset = 0;
      }
    }
    return taken;
  }

  /** The next `bytes` bytes in one buffer, copied only when they cross a border. */
  takeFlat(bytes: number): Buffer {
    const taken = this.take(bytes);
    return taken.length === 1 ? taken[0]! : Buffer.concat(taken, bytes);
  }

  /** All that is left. */
  rest(): Rope {
    return Rope.of(...this.take(this.#left));
  }
}

/** Two views as one, when they lie side by side. */
function joinedViews(first: Buffer, second: Buffer): Buffer | undefined {
  if (first.buffer !== second.buffer) return undefined;
  if (first.byteOffset + first.length !== second.byteOffset) return undefined;
  return Buffer.from(first.buffer, first.byteOffset, first.length + second.length);
}
