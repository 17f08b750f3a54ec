/**
 * Where held frames lie: one slot per frame, and for what does not fit a slot one large buffer more. All of it is
 * mapped at the start; a frame is written once, by the kernel, and read once, by the kernel.
 *
 *   slot   [16 bytes of head room][vnet header, frame … up to 2032 bytes]   2048 bytes; the head room is for a VLAN tag
 *   large  [the rest of the frame]                                          66 KiB
 *
 * Invariant: a large buffer is free or belongs to exactly one slot.
 */
import assert from 'node:assert/strict';
import { NativeMemory } from './native-memory.ts';

export const SLOT_BYTES = 2048;
const HEAD_ROOM_BYTES = 16;
/** What the kernel may write into a slot. */
export const SLOT_FRAME_BYTES = SLOT_BYTES - HEAD_ROOM_BYTES;
export const LARGE_BYTES = 66 << 10;

const NO_LARGE = -1;

export class FrameStore {
  readonly slots: number;
  readonly larges: number;
  readonly memory: NativeMemory;
  /** Bytes of vnet header and frame per slot; 0 for a slot whose frame must not be sent. */
  readonly lengths: Uint32Array;
  readonly #starts: Uint8Array;
  readonly #largeOf: Int32Array;
  readonly #freeLarges: Uint32Array;
  readonly #largeMemory: NativeMemory;
  #freeLargeCount: number;

  /** @param bufferBytes All of the memory, 1 MiB to 4 GiB; half of it becomes slots, half large buffers. */
  constructor(bufferBytes: number) {
    this.slots = Math.floor(bufferBytes / 2 / SLOT_BYTES);
    this.larges = Math.floor(bufferBytes / 2 / LARGE_BYTES);
    assert(this.slots > 0 && this.larges > 0);
    this.memory = new NativeMemory(this.slots * SLOT_BYTES);
    this.#largeMemory = new NativeMemory(this.larges * LARGE_BYTES);
    this.lengths = new Uint32Array(this.slots);
    this.#starts = new Uint8Array(this.slots);
    this.#largeOf = new Int32Array(this.slots).fill(NO_LARGE);
    this.#freeLarges = Uint32Array.from({ length: this.larges }, (_, index) => index);
    this.#freeLargeCount = this.larges;
  }

  /** Large buffers that no frame has. */
  get freeLarges(): number {
    return this.#freeLargeCount;
  }

  /** The address at which the kernel writes the frame of `slot`. */
  receiveAddress(slot: number): number {
    return this.memory.address + slot * SLOT_BYTES + HEAD_ROOM_BYTES;
  }

  /** The address of the large buffer that the `index`th of the next frames may use. */
  largeAddress(index: number): number {
    return (
      this.#largeMemory.address + this.#freeLarges[this.#freeLargeCount - 1 - index]! * LARGE_BYTES
    );
  }

  /**
   * Takes over `count` frames that the kernel has written into consecutive slots, the `index`th with the large buffer
   * of `largeAddress(index)` behind it.
   * @param lengthOf The bytes of the `index`th frame, 0 for one that is dropped.
   * @param slotOf The slot of the `index`th frame.
   */
  accept(
    count: number,
    lengthOf: (index: number) => number,
    slotOf: (index: number) => number,
  ): void {
    const top = this.#freeLargeCount;
    this.#freeLargeCount -= count;
    // The buffers of frames 0 … count - 1 are the top of the stack, topmost first; unused ones go back onto it. Walking
    // down from the last frame never overwrites an entry that is still to be read.
    for (let index = count - 1; index >= 0; index--) {
      const slot = slotOf(index);
      const length = lengthOf(index);
      const large = this.#freeLarges[top - 1 - index]!;
      this.lengths[slot] = length;
      this.#starts[slot] = HEAD_ROOM_BYTES;
      if (length > SLOT_FRAME_BYTES) this.#largeOf[slot] = large;
      else {
        this.#largeOf[slot] = NO_LARGE;
        this.#freeLarges[this.#freeLargeCount++] = large;
      }
    }
  }

  /** Where the vnet header of the frame in `slot` begins, as an offset into `memory`. */
  offsetOf(slot: number): number {
    return slot * SLOT_BYTES + this.#starts[slot]!;
  }

  /** Says that the frame in `slot` begins at `offset` and has `grown` bytes more than before. */
  moveStart(slot: number, offset: number, grown: number): void {
    const start = offset - slot * SLOT_BYTES;
    assert(start >= 0 && start <= HEAD_ROOM_BYTES);
    this.#starts[slot] = start;
    this.lengths[slot]! += grown;
  }

  /** How many bytes of the frame lie in the slot itself; the rest is in its large buffer. */
  bytesInSlot(slot: number): number {
    return Math.min(this.lengths[slot]!, SLOT_BYTES - this.#starts[slot]!);
  }

  /** The address of the rest of the frame in `slot`, 0 when it has none. */
  restAddress(slot: number): number {
    const large = this.#largeOf[slot]!;
    return large === NO_LARGE ? 0 : this.#largeMemory.address + large * LARGE_BYTES;
  }

  /** Gives the large buffer of `slot` back, if it has one. */
  free(slot: number): void {
    const large = this.#largeOf[slot]!;
    if (large === NO_LARGE) return;
    this.#largeOf[slot] = NO_LARGE;
    this.#freeLarges[this.#freeLargeCount++] = large;
    assert(this.#freeLargeCount <= this.larges);
  }

  /** Gives all memory back. */
  close(): void {
    this.memory.unmap();
    this.#largeMemory.unmap();
  }
}
