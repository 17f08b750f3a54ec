/** xxh64 over messages that lie in several buffers. */
import xxhash, { type XXHash } from 'xxhash-wasm';

const { create64 } = await xxhash();

/** Larger updates would run through the hash's memory faster than the cache can follow. */
const BLOCK_BYTES = 64 << 10;

/** One running xxh64, seed 0. */
export class Digest {
  #state: XXHash<bigint> = create64();

  update(bytes: Buffer): this {
    if (bytes.length <= BLOCK_BYTES) {
      if (bytes.length > 0) this.#state.update(bytes);
      return this;
    }
    for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
      this.#state.update(bytes.subarray(at, at + BLOCK_BYTES));
    }
    return this;
  }

  /** The digest of everything so far; more may follow. */
  value(): bigint {
    return this.#state.digest();
  }
}

/** xxh64 of one buffer, seed 0. */
export function digestOf(bytes: Buffer): bigint {
  return new Digest().update(bytes).value();
}
