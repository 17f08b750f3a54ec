/**
 * The frames that are held, in the order in which they leave: where each one lies, and what to give back when it is gone.
 * A ring of descriptors, oldest first; who may leave says the epoch ring, whose counters walk through it.
 */
import assert from 'node:assert/strict';

export class HeldFrames {
  readonly capacity: number;
  /** Addresses of vnet headers. */
  readonly #addresses: Float64Array;
  readonly #lengths: Uint32Array;
  readonly #places: Float64Array;
  readonly #placeBytes: Uint32Array;
  #newest = -1;
  #oldest = 0;

  constructor(capacity: number) {
    assert(capacity > 0);
    this.capacity = capacity;
    this.#addresses = new Float64Array(capacity);
    this.#lengths = new Uint32Array(capacity);
    this.#places = new Float64Array(capacity);
    this.#placeBytes = new Uint32Array(capacity);
  }

  /**
   * Adds a frame behind all others. The caller sees to it that there are at most `capacity`.
   * @param address Where its vnet header lies.
   * @param length Bytes of vnet header and frame; 0 for a frame that must not be sent.
   * @param place,placeBytes What it occupies in the byte ring; 0 bytes when it lies in a slot of the packet ring.
   */
  push(address: number, length: number, place: number, placeBytes: number): void {
    this.#newest = this.#newest + 1 === this.capacity ? 0 : this.#newest + 1;
    this.#addresses[this.#newest] = address;
    this.#lengths[this.#newest] = length;
    this.#places[this.#newest] = place;
    this.#placeBytes[this.#newest] = placeBytes;
  }

  /** Of the oldest frame. */
  get address(): number {
    return this.#addresses[this.#oldest]!;
  }

  get length(): number {
    return this.#lengths[this.#oldest]!;
  }

  get place(): number {
    return this.#places[this.#oldest]!;
  }

  get placeBytes(): number {
    return this.#placeBytes[this.#oldest]!;
  }

  /** Forgets the oldest frame. */
  shift(): void {
    this.#oldest = this.#oldest + 1 === this.capacity ? 0 : this.#oldest + 1;
  }

  /** Says of the newest `count` frames that they must not be sent. */
  spoil(count: number): void {
    for (let age = 0; age < count; age++) {
      const at = this.#newest - age;
      this.#lengths[at < 0 ? at + this.capacity : at] = 0;
    }
  }
}
