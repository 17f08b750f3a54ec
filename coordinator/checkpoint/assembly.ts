/**
 * One checkpoint while it comes in, from its begin message to its COMMIT: counts, bounds and the
 * running digest. Pure. The backup uses it for what a primary sends, and again for what its journal
 * holds after a crash.
 *
 * Invariant: payloadBytes ≤ the bound, device pieces lie side by side from 0, and every page that
 * was let in exists in the guest. It is complete only when `finish` has returned.
 */
import assert from 'node:assert/strict';
import { CurlingError } from '../../common/errors.ts';
import { unpackDevice } from '../packing/device-state.ts';
import { type ReadPage, unpack } from '../packing/unpacker.ts';
import { type Frame, frameError } from '../replication/decode.ts';
import {
  type DevicePiece,
  type PagesRecord,
  parseCommit,
  parseDevice,
  parsePages,
} from '../replication/parse.ts';
import { Rope } from '../replication/rope.ts';
import { CheckpointSummary } from '../replication/summary.ts';
import { MESSAGE } from '../replication/types.ts';
import { type GuestLayout, PAGE_BYTES } from './layout.ts';
import { ENTRY_BYTES, PAGE_KIND } from './page-chunk.ts';

export interface AssemblyLimits {
  /**
   * Payload bytes of the whole checkpoint, unpacked; a full copy's pages are not counted, as they are not
   * kept.
   */
  stagedBytesMax: number;
  deviceBytesMax: number;
}

export class Assembly {
  readonly epoch: number;
  readonly full: boolean;
  readonly #limits: AssemblyLimits;
  readonly #blockPages: readonly number[];
  readonly #summary = new CheckpointSummary();
  readonly #device: Buffer[] = [];
  #deviceBytes = 0;
  #deviceTotal: number | undefined;
  #stagedBytes = 0;

  /** @param begin FULL_BEGIN or CHECKPOINT_BEGIN. */
  constructor(begin: Frame, layout: GuestLayout, limits: AssemblyLimits) {
    assert(begin.type === MESSAGE.fullBegin || begin.type === MESSAGE.checkpointBegin);
    this.epoch = begin.epoch;
    this.full = begin.type === MESSAGE.fullBegin;
    this.#limits = limits;
    this.#blockPages = layout.blocks.map(({ bytes }) => Math.ceil(bytes / PAGE_BYTES));
    this.#count(begin, 0, begin.payload.bytes);
  }

  /** @throws CurlingError CURLING_REPLICATION_FRAME, CURLING_REPLICATION_LIMIT */
  pages(frame: Frame): PagesRecord {
    const record = parsePages(frame);
    this.#checkEntries(record);
    this.#count(frame, record.count, frame.payload.bytes);
    return record;
  }

  /**
   * PACKED, as PAGES would have said it; pages that have not changed are compared, and left out.
   * @param read Pages as of the checkpoint before.
   * @throws CurlingError as `pages`, and CURLING_REPLICATION_UNPACK
   */
  packed(frame: Frame, read: ReadPage): PagesRecord {
    const { pages, record } = unpack(frame, this.#blockPages, this.full ? undefined : read);
    this.#count(frame, pages, record.entries.length + record.data.bytes);
    // The record is memory of its own.
    frame.payload.release();
    return record;
  }

  /** @throws CurlingError CURLING_REPLICATION_FRAME, CURLING_REPLICATION_LIMIT */
  device(frame: Frame): void {
    const piece = parseDevice(frame);
    this.#checkPiece(piece);
    this.#count(frame, 0, frame.payload.bytes);
    this.#deviceTotal = piece.total;
    this.#deviceBytes += piece.data.bytes;
    // A copy: the message's memory is used for others before the last piece is there.
    this.#device.push(Buffer.concat(piece.data.pieces, piece.data.bytes));
  }

  /**
   * DEVICE_PACKED, which is the whole device state, and returns it.
   * @param before That of the checkpoint before.
   * @throws CurlingError as `device`, and CURLING_REPLICATION_UNPACK
   */
  devicePacked(frame: Frame, before: Buffer | undefined): Buffer {
    const data = unpackDevice(frame, this.full ? undefined : before);
    this.#checkPiece({ offset: 0, total: data.length, data: Rope.of(data) });
    this.#count(frame, 0, data.length);
    this.#deviceTotal = data.length;
    this.#deviceBytes = data.length;
    this.#device.push(data);
    frame.payload.release();
    return data;
  }

  /**
   * Compares COMMIT with what came and returns the device state.
   * @throws CurlingError CURLING_REPLICATION_FRAME when something is missing,
   *   CURLING_REPLICATION_DIGEST when the sum differs.
   */
  finish(frame: Frame): Buffer {
    const claimed = parseCommit(frame);
    const came = this.#summary.record();
    for (const key of ['messages', 'pages', 'payloadBytes'] as const) {
      if (claimed[key] === came[key]) continue;
      throw frameError(`epoch ${this.epoch}: ${key} ${came[key]} came, ${claimed[key]} were sent`);
    }
    if (claimed.digest !== came.digest) {
      const text = `epoch ${this.epoch}: the messages' digests do not add up`;
      throw new CurlingError('CURLING_REPLICATION_DIGEST', text);
    }
    if (this.#deviceTotal === undefined || this.#deviceBytes !== this.#deviceTotal) {
      const text = `${this.#deviceBytes} of ${this.#deviceTotal ?? 'unknown'} bytes`;
      throw frameError(`epoch ${this.epoch}: device state has ${text}`);
    }
    return this.#device.length === 1
      ? this.#device[0]!
      : Buffer.concat(this.#device, this.#deviceBytes);
  }

  /** @param stagedBytes What is kept of it. */
  #count(frame: Frame, pages: number, stagedBytes: number): void {
    this.#summary.add(frame.digest, frame.payload.bytes, pages);
    if (this.full && pages > 0) return;
    this.#stagedBytes += stagedBytes;
    if (this.#stagedBytes <= this.#limits.stagedBytesMax) return;
    const text = `epoch ${this.epoch} has more than ${this.#limits.stagedBytesMax} bytes`;
    throw new CurlingError('CURLING_REPLICATION_LIMIT', `${text}, the backup's bound`);
  }

  #checkPiece({ offset, total, data }: DevicePiece): void {
    const { deviceBytesMax } = this.#limits;
    if (total > deviceBytesMax) {
      const text = `device state of ${total} bytes, the backup's bound is ${deviceBytesMax}`;
      throw new CurlingError('CURLING_REPLICATION_LIMIT', text);
    }
    const expected = this.#deviceTotal ?? total;
    if (offset === this.#deviceBytes && total === expected && data.bytes > 0) return;
    const want = `byte ${this.#deviceBytes} of ${expected}`;
    throw frameError(`device state: expected ${want}, got ${offset} of ${total}`);
  }

  #checkEntries({ entries, dataPages }: PagesRecord): void {
    let withData = 0;
    for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
      const block = entries.readUInt16BE(at);
      const kind = entries[at + 2];
      const page = entries.readUInt32BE(at + 4);
      const pages = this.#blockPages[block];
      if (pages === undefined || page >= pages) {
        throw frameError(`the guest has no page ${page} in block ${block}`);
      }
      if (kind === PAGE_KIND.data && entries[at + 3] === 0) withData++;
      else if (kind !== PAGE_KIND.fill) throw frameError(`page ${page}: unknown kind ${kind}`);
    }
    if (withData !== dataPages) {
      throw frameError(`${withData} entries with data, but ${dataPages} pages of it`);
    }
  }
}
