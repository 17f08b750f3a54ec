/**
 * xxh64 (seed 0) over messages that lie in several buffers: large ones by the optional package @node-rs/xxhash where there
 * is one for this machine, all others by WebAssembly. The values are the same. The package reads the bytes where they lie,
 * and is as fast for the first message as for the last; to call it costs more than a small message takes here.
 */
import xxhash, { type XXHash } from 'xxhash-wasm';

const { create64 } = await xxhash();

/** Larger updates would run through the hash's memory faster than the cache can follow. */
const BLOCK_BYTES = 64 << 10;
/** From here on a call of native code pays. */
const NATIVE_BYTES_MIN = 16 << 10;

/** One running digest. */
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

/** The digest of these buffers one after the other. */
export type DigestOf = (...parts: readonly Buffer[]) => bigint;

/** By WebAssembly, whatever the size. */
export const wasmDigestOf: DigestOf = (...parts) => {
  const digest = new Digest();
  for (const part of parts) digest.update(part);
  return digest.value();
};

/** By the optional package; undefined without it, or without its part for this machine. */
export const nativeDigestOf: DigestOf | undefined = await native();

/** By whatever is quicker here. */
export const digestOf: DigestOf = nativeDigestOf
  ? (...parts) => (isLarge(parts) ? nativeDigestOf! : wasmDigestOf)(...parts)
  : wasmDigestOf;

function isLarge(parts: readonly Buffer[]): boolean {
  return parts.some(({ length }) => length >= NATIVE_BYTES_MIN);
}

async function native(): Promise<DigestOf | undefined> {
  try {
    const { Xxh64 } = await import('@node-rs/xxhash');
    // One for all: to make one takes longer than to digest 16 KiB.
    const running = new Xxh64();
    return (...parts) => {
      running.reset();
      for (const part of parts) running.update(part);
      return running.digest();
    };
  } catch {
    return undefined;
  }
}
