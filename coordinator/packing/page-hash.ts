/** xxh64 of single pages: what two hosts compare when only one of them has the bytes at hand. */
import xxhash from 'xxhash-wasm';

const { h64Raw } = await xxhash();

/** xxh64, seed 0, of one page. Takes half a microsecond. */
export function pageHash(page: Uint8Array): bigint {
  return h64Raw(page);
}

/** The digest of several pages, by their hashes in order. */
export class PagesDigest {
  #hashes = new BigUint64Array(256);
  #bytes = Buffer.from(this.#hashes.buffer);
  #count = 0;

  add(hash: bigint): void {
    if (this.#count === this.#hashes.length) this.#grow();
    this.#bytes.writeBigUInt64BE(hash, 8 * this.#count++);
  }

  /** The digest of what was added, and begins anew. */
  take(): bigint {
    const value = h64Raw(this.#bytes.subarray(0, 8 * this.#count));
    this.#count = 0;
    return value;
  }

  #grow(): void {
    const larger = new BigUint64Array(2 * this.#hashes.length);
    larger.set(this.#hashes);
    this.#hashes = larger;
    this.#bytes = Buffer.from(larger.buffer);
  }
}
