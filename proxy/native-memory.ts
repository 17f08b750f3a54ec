/**
 * Memory outside of V8's heap, at a fixed address that the kernel may be given: mapped once, touched once, never moved.
 */
import assert from 'node:assert/strict';
import { CurlingError } from '../common/errors.ts';
import { errno, errnoName, madvise, mmap, munmap, view } from './syscalls.ts';

/** include/uapi/asm-generic/mman-common.h */
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MADV_DONTFORK = 10;
const MADV_HUGEPAGE = 14;

const PAGE_BYTES = 4096;
const HUGE_PAGE_BYTES = 2 << 20;

export class NativeMemory {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;

  /**
   * Maps `length` bytes, at most 4 GiB, zeroed and present: no page fault later, none from a fork either.
   * @param fd Maps this descriptor's memory, shared with its driver, instead of memory of its own.
   * @throws CurlingError CURLING_DATAPATH when the kernel gives none.
   */
  constructor(length: number, fd = -1) {
    assert(length > 0 && length <= 2 ** 32);
    const rounded = Math.ceil(length / PAGE_BYTES) * PAGE_BYTES;
    const flags = fd < 0 ? MAP_PRIVATE_ANONYMOUS : MAP_SHARED;
    const address = mmap(0, rounded, PROT_READ_WRITE, flags, fd, 0);
    if (address < 0 || address >= 2 ** 53) {
      const text = `cannot map ${rounded} bytes for the frame buffer: ${errnoName(errno())}`;
      throw new CurlingError('CURLING_DATAPATH', text);
    }
    // Both are wishes: without them the datapath is slower, not wrong.
    if (fd < 0 && rounded >= HUGE_PAGE_BYTES) madvise(address, rounded, MADV_HUGEPAGE);
    madvise(address, rounded, MADV_DONTFORK);
    const buffer = view(BigInt(address), rounded);
    this.address = address;
    this.bytes = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    if (fd < 0) for (let at = 0; at < rounded; at += PAGE_BYTES) this.bytes[at] = 0;
  }

  /** Writes an address (or any whole number below 2^53) as 64 bits at `offset`, a multiple of 4. */
  setAddress(offset: number, value: number): void {
    this.u32[offset >>> 2] = value >>> 0;
    this.u32[(offset >>> 2) + 1] = value / 0x1_0000_0000;
  }

  /** Gives the memory back. Neither it nor its views may be touched afterwards. */
  unmap(): void {
    munmap(this.address, this.bytes.length);
  }
}
