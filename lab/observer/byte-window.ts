/**
 * The newest bytes of a stream by their offsets, to compare what is sent again with what was sent
 * before. Pure.
 *
 * Invariant: a chunk's `known` holds 1 for every byte that was written, else 0; chunks that end
 * more than `windowBytes` before the highest byte are dropped.
 */

const CHUNK_BYTES = 16_384;

interface Chunk {
  bytes: Buffer;
  known: Buffer;
}

/** What a write was, byte by byte. */
export interface Written {
  /** Bytes not known before. */
  fresh: number;
  /** Bytes known before, and the same. */
  same: number;
  /** Offset of the first byte that was known to be another one. */
  differsAt: number | undefined;
  /** Bytes too far back to be judged. */
  tooOld: number;
}

export class ByteWindow {
  readonly #windowBytes: number;
  readonly #chunks = new Map<number, Chunk>();
  #highest = 0;
  #dropped = -1;

  constructor(windowBytes = 8 << 20) {
    this.#windowBytes = windowBytes;
  }

  /**
   * Writes `bytes` at `offset` (at least 0). A byte that differs does not replace the known one.
   */
  write(offset: number, bytes: Buffer): Written {
    const written: Written = { fresh: 0, same: 0, differsAt: undefined, tooOld: 0 };
    this.#highest = Math.max(this.#highest, offset + bytes.length);
    this.#drop();
    for (let at = 0; at < bytes.length; ) {
      const index = Math.floor((offset + at) / CHUNK_BYTES);
      const start = (offset + at) % CHUNK_BYTES;
      const piece = bytes.subarray(at, at + CHUNK_BYTES - start);
      if (index <= this.#dropped) written.tooOld += piece.length;
      else this.#writePiece(this.#chunk(index), start, piece, offset + at, written);
      at += piece.length;
    }
    return written;
  }

  #writePiece(chunk: Chunk, start: number, piece: Buffer, offset: number, written: Written): void {
    const known = chunk.known.subarray(start, start + piece.length);
    const bytes = chunk.bytes.subarray(start, start + piece.length);
    if (known.indexOf(1) < 0) {
      piece.copy(bytes);
      known.fill(1);
      written.fresh += piece.length;
      return;
    }
    if (known.indexOf(0) < 0 && bytes.equals(piece)) {
      written.same += piece.length;
      return;
    }
    for (let i = 0; i < piece.length; i++) {
      if (known[i] === 0) {
        bytes[i] = piece[i]!;
        known[i] = 1;
        written.fresh++;
      } else if (bytes[i] === piece[i]) written.same++;
      else written.differsAt ??= offset + i;
    }
  }

  #chunk(index: number): Chunk {
    let chunk = this.#chunks.get(index);
    if (!chunk) {
      chunk = { bytes: Buffer.alloc(CHUNK_BYTES), known: Buffer.alloc(CHUNK_BYTES) };
      this.#chunks.set(index, chunk);
    }
    return chunk;
  }

  #drop(): void {
    const lastDropped = Math.floor((this.#highest - this.#windowBytes) / CHUNK_BYTES) - 1;
    if (lastDropped <= this.#dropped) return;
    for (const index of this.#chunks.keys()) if (index <= lastDropped) this.#chunks.delete(index);
    this.#dropped = lastDropped;
  }
}
