/**
 * Cuts a stream that comes in chunks of any size into fields of known size. Pure.
 *
 * A field that lies whole in a chunk is read in place; only one that crosses a border between chunks is gathered in
 * `#held`. Bulk data is moved straight from the chunk to where it belongs.
 *
 * Invariant: while a field is being gathered (`#heldBytes` > 0) the current chunk is used up, and `#heldBytes` is less
 * than the field's size.
 */
import assert from 'node:assert/strict';

/** The largest field that `take` accepts: QEMU's strings of at most 255 bytes. */
export const FIELD_BYTES_MAX = 256;

const NOTHING = Buffer.alloc(0);

export class FieldReader {
  #chunk: Buffer = NOTHING;
  #next = 0;
  readonly #held = Buffer.alloc(FIELD_BYTES_MAX);
  #heldBytes = 0;
  #fedBytes = 0;
  /** Where the taken field is read from. */
  #field: Buffer = NOTHING;
  #at = 0;

  /** Bytes taken, moved or gathered since the start: where the stream is. */
  get position(): number {
    return this.#fedBytes - (this.#chunk.length - this.#next);
  }

  /** Gives the next chunk; the one before must be used up. Its bytes are read until the next call. */
  feed(chunk: Buffer): void {
    assert(this.#next === this.#chunk.length, 'the chunk before is not used up');
    this.#chunk = chunk;
    this.#next = 0;
    this.#fedBytes += chunk.length;
  }

  /**
   * Takes a field of `bytes` bytes, 0 to FIELD_BYTES_MAX, for `u8`, `u16`, `u32`, `u64` and `text` to read. False when
   * the chunk ends before it: call again with the same number after the next `feed`.
   */
  take(bytes: number): boolean {
    assert(bytes <= FIELD_BYTES_MAX, 'a field is larger than FIELD_BYTES_MAX');
    const left = this.#chunk.length - this.#next;
    if (this.#heldBytes === 0 && left >= bytes) {
      this.#field = this.#chunk;
      this.#at = this.#next;
      this.#next += bytes;
      return true;
    }
    const missing = bytes - this.#heldBytes;
    assert(missing > 0, 'a field was begun with another size');
    const count = Math.min(missing, left);
    this.#chunk.copy(this.#held, this.#heldBytes, this.#next, this.#next + count);
    this.#next += count;
    this.#heldBytes += count;
    if (count < missing) return false;
    this.#heldBytes = 0;
    this.#field = this.#held;
    this.#at = 0;
    return true;
  }

  /** Moves at most `bytes` bytes to `target` at `offset`; returns how many the chunk had. */
  move(target: Buffer, offset: number, bytes: number): number {
    assert(this.#heldBytes === 0, 'a field is being gathered');
    const count = Math.min(bytes, this.#chunk.length - this.#next);
    this.#chunk.copy(target, offset, this.#next, this.#next + count);
    this.#next += count;
    return count;
  }

  /** Passes over at most `bytes` bytes; returns how many the chunk had. */
  skip(bytes: number): number {
    assert(this.#heldBytes === 0, 'a field is being gathered');
    const count = Math.min(bytes, this.#chunk.length - this.#next);
    this.#next += count;
    return count;
  }

  /** Takes back the last `bytes` bytes that were moved or skipped; they are of the current chunk. */
  giveBack(bytes: number): void {
    assert(this.#heldBytes === 0 && bytes >= 0 && bytes <= this.#next, 'not of this chunk');
    this.#next -= bytes;
  }

  /** The bytes of the chunk that are not used yet. */
  get left(): number {
    return this.#chunk.length - this.#next;
  }

  u8(): number {
    return this.#field[this.#at++]!;
  }

  u16(): number {
    this.#at += 2;
    return this.#field.readUInt16BE(this.#at - 2);
  }

  u32(): number {
    this.#at += 4;
    return this.#field.readUInt32BE(this.#at - 4);
  }

  /** A u64 as a number; exact up to 2^53, and far beyond every limit above that. */
  u64(): number {
    return this.u32() * 2 ** 32 + this.u32();
  }

  /** `bytes` bytes as text, one character for each byte. */
  text(bytes: number): string {
    this.#at += bytes;
    return this.#field.toString('latin1', this.#at - bytes, this.#at);
  }
}
