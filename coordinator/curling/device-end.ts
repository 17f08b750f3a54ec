/**
 * The device state of one checkpoint, which has no length: it ends where the given bytes follow (the end mark, Curling's
 * signature, and the whole head of the next checkpoint up to its list of RAM blocks). A signature with anything else
 * behind it is device state: a guest can have put those eight bytes into a FIFO of its serial port.
 *
 *   FULL sections…, u8 0x00    u64 signature, "QEFT" … RAM blocks
 *   └─ handed out ────────┘    └─ taken, known to be so ────────┘
 *
 * Each byte is looked at once, but for as many before a chunk's border as a cut needle may have.
 */
import assert from 'node:assert/strict';
import type { FieldReader } from '../qemu/field-reader.ts';
import { GrowingBuffer } from '../qemu/growing-buffer.ts';
import { PART, streamError } from '../qemu/stream-format.ts';

const FIRST_BYTES = 1 << 18;

export class DeviceEnd {
  readonly #needle: Buffer;
  readonly #deviceBytesMax: number;
  readonly #bytes: GrowingBuffer;
  #scanned = 0;
  #device: Buffer | undefined;

  /**
   * @param next What follows the end mark: the signature and the head of the next checkpoint.
   * @param deviceBytesMax Of the device state with its end mark.
   */
  constructor(next: Buffer, deviceBytesMax: number) {
    this.#needle = Buffer.concat([Buffer.from([PART.end]), next]);
    this.#deviceBytesMax = deviceBytesMax;
    this.#bytes = new GrowingBuffer(deviceBytesMax + next.length, FIRST_BYTES);
  }

  /** Device sections and the end mark, once `consume` has returned true. */
  get device(): Buffer {
    assert(this.#device, 'its end has not come');
    return this.#device;
  }

  /**
   * Takes what the chunk has, up to the end of the next head; true when that has come.
   * @throws CurlingError CURLING_QEMU_STREAM when the limit is reached before.
   */
  consume(reader: FieldReader): boolean {
    const full = this.#bytes.consume(reader);
    const bytes = this.#bytes.bytes;
    const needle = this.#needle;
    const at = bytes.indexOf(needle, this.#scanned);
    if (at < 0) {
      if (full) {
        const expected = `the end of a device state of at most ${this.#deviceBytesMax} bytes`;
        throw streamError(expected, 'more than that', reader.position);
      }
      this.#scanned = Math.max(this.#scanned, bytes.length - needle.length + 1);
      return false;
    }
    reader.giveBack(bytes.length - (at + needle.length));
    // A copy: the buffer behind may be twice as long, and lives as long as what is handed out.
    this.#device = Buffer.from(bytes.subarray(0, at + 1));
    return true;
  }
}
