/** FNV-1a, 64 bits, without BigInt in the loop; the twin of fnv.h. */

/**
 * A running digest. The 64-bit state is two unsigned halves; the prime is 2^40 + 0x1b3, so every
 * product below is exact in a double.
 */
export class Fnv {
  #high = 0xcbf29ce4;
  #low = 0x84222325;

  /** Appends bytes. */
  add(bytes: Uint8Array): this {
    let high = this.#high;
    let low = this.#low;
    for (let i = 0; i < bytes.length; i++) {
      low = (low ^ bytes[i]!) >>> 0;
      const product = low * 0x1b3;
      high = (Math.imul(high, 0x1b3) + (low << 8) + Math.floor(product / 0x1_0000_0000)) >>> 0;
      low = product >>> 0;
    }
    this.#high = high;
    this.#low = low;
    return this;
  }

  /** The digest of what has been added so far, in 16 hex digits. */
  hex(): string {
    return this.#high.toString(16).padStart(8, '0') + this.#low.toString(16).padStart(8, '0');
  }
}
