/**
 * xorshift64* without BigInt in the loop; the twin of generator.h. Bytes of bulk transfers have
 * to be made as fast.
 */

const MULTIPLIER_HIGH = 0x2545f491;
const MULTIPLIER_LOW = 0x4f6cdd1d;

/** The high half of the 64-bit product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/** An endless stream of bytes from a seed: the same as the guest's, in pieces of any size. */
export class Generator {
  #high: number;
  #low: number;
  readonly #word = Buffer.alloc(8);
  /** Bytes of #word that were handed out. */
  #taken = 8;

  /** @param seed 0 to 2^64-1; 0 stands for another fixed seed. */
  constructor(seed: bigint) {
    const start = seed === 0n ? 0x9e3779b97f4a7c15n : BigInt.asUintN(64, seed);
    this.#high = Number(start >> 32n);
    this.#low = Number(start & 0xffff_ffffn);
  }

  /** Fills `out` with the next bytes of the stream. */
  fill(out: Buffer): Buffer {
    let at = 0;
    while (at < out.length) {
      if (this.#taken === 8) {
        if (at + 8 <= out.length) {
          this.#next(out, at);
          at += 8;
          continue;
        }
        this.#next(this.#word, 0);
        this.#taken = 0;
      }
      out[at++] = this.#word[this.#taken++]!;
    }
    return out;
  }

  #next(out: Buffer, at: number): void {
    let high = this.#high;
    let low = this.#low;
    low ^= (low >>> 12) | (high << 20);
    high ^= high >>> 12;
    high ^= (high << 25) | (low >>> 7);
    low ^= low << 25;
    low ^= (low >>> 27) | (high << 5);
    high ^= high >>> 27;
    this.#high = high;
    this.#low = low;
    high >>>= 0;
    low >>>= 0;
    const cross = Math.imul(high, MULTIPLIER_LOW) + Math.imul(low, MULTIPLIER_HIGH);
    const top = (multiplyHigh(low, MULTIPLIER_LOW) + cross) | 0;
    const bottom = Math.imul(low, MULTIPLIER_LOW);
    out[at] = top >>> 24;
    out[at + 1] = top >>> 16;
    out[at + 2] = top >>> 8;
    out[at + 3] = top;
    out[at + 4] = bottom >>> 24;
    out[at + 5] = bottom >>> 16;
    out[at + 6] = bottom >>> 8;
    out[at + 7] = bottom;
  }
}
