/**
 * The end of the first pass: device sections, which carry no length, and the description that closes them.
 *
 *   FULL sections…   u8 0x00 (end)   u8 0x06, u32 length, JSON
 *
 * QEMU then waits for READY, so what has come ends exactly with the JSON. Every place that looks like the beginning of
 * a description is remembered with the end that it promises (a guest may have put such bytes into its devices); one of
 * them is the description when the bytes received end there and the JSON parses. Each byte is looked at once.
 */
import assert from 'node:assert/strict';
import { isObject } from '../../common/qmp/messages.ts';
import type { FieldReader } from './field-reader.ts';
import { GrowingBuffer } from './growing-buffer.ts';
import { PART, streamError } from './stream-format.ts';

/** The end mark and the description's first byte. */
const MARK = Buffer.from([PART.end, PART.description]);
/** Mark, length, and the brace with which a JSON object begins. */
const HEAD_BYTES = MARK.length + 4 + 1;
const OPENING_BRACE = 0x7b;
/** Places that look like a description and are not disproved yet. */
const CANDIDATES_MAX = 256;
const FIRST_BYTES = 1 << 18;

interface Candidate {
  /** Length of the device state with its end mark. */
  deviceBytes: number;
  /** Where the JSON ends. */
  end: number;
}

export interface TailLimits {
  /** Bytes of device state. */
  deviceBytesMax: number;
  /** Bytes of its JSON description. */
  descriptionBytesMax: number;
}

export class DeviceTail {
  readonly #limits: TailLimits;
  readonly #bytes: GrowingBuffer;
  #candidates: Candidate[] = [];
  #scanned = 0;
  #device: Buffer | undefined;

  constructor(limits: TailLimits) {
    this.#limits = limits;
    const limit = limits.deviceBytesMax + HEAD_BYTES + limits.descriptionBytesMax;
    this.#bytes = new GrowingBuffer(limit, FIRST_BYTES);
  }

  /** Device sections and the end mark, once `consume` has returned true. */
  get device(): Buffer {
    assert(this.#device, 'the description has not come');
    return this.#device;
  }

  /**
   * Takes all that the chunk has; true when it ends with the description.
   * @throws CurlingError CURLING_QEMU_STREAM when a limit is reached before.
   */
  consume(reader: FieldReader): boolean {
    const full = this.#bytes.consume(reader);
    const bytes = this.#bytes.bytes;
    this.#scan(bytes, reader);
    const ending = this.#candidates.find(c => c.end === bytes.length && isDescription(bytes, c));
    this.#candidates = this.#candidates.filter(c => c.end > bytes.length);
    if (!ending) {
      if (full) throw this.#tooLong(`${bytes.length} bytes without one`, reader);
      return false;
    }
    // A copy: the buffer behind may be twice as long, and lives as long as what is handed out.
    this.#device = Buffer.from(bytes.subarray(0, ending.deviceBytes));
    return true;
  }

  #scan(bytes: Buffer, reader: FieldReader): void {
    for (;;) {
      const at = bytes.indexOf(MARK, this.#scanned);
      if (at < 0) {
        // The last byte may be the first of a mark.
        this.#scanned = Math.max(this.#scanned, bytes.length - 1);
        return;
      }
      this.#scanned = at;
      if (at + HEAD_BYTES > bytes.length) return;
      this.#scanned = at + 1;
      const json = at + HEAD_BYTES - 1;
      const length = bytes.readUInt32BE(at + MARK.length);
      const possible =
        bytes[json] === OPENING_BRACE &&
        length <= this.#limits.descriptionBytesMax &&
        at < this.#limits.deviceBytesMax &&
        json + length >= bytes.length;
      if (!possible) continue;
      if (this.#candidates.length === CANDIDATES_MAX)
        throw this.#tooLong(`${CANDIDATES_MAX} places that look like one`, reader);
      this.#candidates.push({ deviceBytes: at + 1, end: json + length });
    }
  }

  #tooLong(got: string, reader: FieldReader): Error {
    const { deviceBytesMax, descriptionBytesMax } = this.#limits;
    const expected =
      `device state of at most ${deviceBytesMax} bytes and its JSON description of at most ` +
      `${descriptionBytesMax} bytes (is the machine's property suppress-vmdesc on?)`;
    return streamError(expected, got, reader.position);
  }
}

function isDescription(bytes: Buffer, candidate: Candidate): boolean {
  try {
    const json = bytes.subarray(candidate.deviceBytes + HEAD_BYTES - MARK.length, candidate.end);
    return isObject(JSON.parse(json.toString('utf8')));
  } catch {
    return false;
  }
}
