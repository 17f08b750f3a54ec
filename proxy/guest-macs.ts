/**
 * The source addresses of captured frames, so that the bridge can be told where the guest is. Pure and bounded: a guest
 * that makes addresses up fills the list, and further ones are only counted.
 */

const MACS_MAX = 64;

export class GuestMacs {
  /** How often an address beyond the bound was seen. */
  ignored = 0;
  readonly #known = new Set<string>();
  #lastHigh = -1;
  #lastLow = -1;

  /** All addresses, lower-case hex with colons. */
  list(): string[] {
    return [...this.#known];
  }

  /** Forgets all addresses. */
  clear(): void {
    this.#known.clear();
    this.#lastHigh = -1;
  }

  /** Looks at the frame at `offset`. Returns its source address when it is new, else undefined. */
  learn(bytes: Uint8Array, offset: number): string | undefined {
    const at = offset + 6;
    const high = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    const low = (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
    // Most frames have the source address of the frame before.
    if (high === this.#lastHigh && low === this.#lastLow) return undefined;
    this.#lastHigh = high;
    this.#lastLow = low;
    // A group address is never a source, and the zero address is nobody's.
    if ((bytes[at]! & 1) !== 0 || (high === 0 && low === 0)) return undefined;
    const mac = Buffer.from(bytes.subarray(at, at + 6))
      .toString('hex')
      .replace(/..(?=.)/g, '$&:');
    if (this.#known.has(mac)) return undefined;
    if (this.#known.size >= MACS_MAX) {
      this.ignored++;
      return undefined;
    }
    this.#known.add(mac);
    return mac;
  }
}
