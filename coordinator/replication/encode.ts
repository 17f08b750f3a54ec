/** Messages to bytes. Nothing is copied: a frame is a list of buffers that are written together. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { CurlingError } from '../../common/errors.ts';
import { cutForJson } from '../../common/shown.ts';
import type { PageChunk } from '../checkpoint/page-chunk.ts';
import { ENTRY_BYTES } from '../checkpoint/page-chunk.ts';
import { digestOf } from './digest.ts';
import type { PagesRecord } from './parse.ts';
import {
  BEAT_BYTES,
  type Beat,
  COMMIT_BYTES,
  type CommitRecord,
  DEVICE_PREFIX_BYTES,
  DIGEST_OFFSET,
  type FrameAddress,
  HEADER_BYTES,
  MAGIC,
  type MessageType,
  PAGES_PREFIX_BYTES,
  PAYLOAD_BYTES,
  PROTOCOL_VERSION,
  type StandbyWord,
} from './types.ts';

/** A frame ready to be written. */
export interface EncodedFrame {
  /** Header first. */
  buffers: Buffer[];
  payloadBytes: number;
  digest: bigint;
}

/** How a VM's name stands in the header: half a SHA-256, 32 hex digits. */
export function vmIdOf(vm: string): string {
  return createHash('sha256').update(vm).digest('hex').slice(0, 32);
}

/**
 * Puts a header in front of a payload. The payload's buffers are referred to, not copied.
 * A payload outside the bounds of its type is a programmer's error.
 */
export function encodeFrame(
  type: MessageType,
  address: FrameAddress,
  payload: readonly Buffer[] = [],
): EncodedFrame {
  const payloadBytes = payload.reduce((sum, piece) => sum + piece.length, 0);
  const [min, max] = PAYLOAD_BYTES[type];
  assert(payloadBytes >= min && payloadBytes <= max, `payload of ${payloadBytes}, type ${type}`);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt16BE(PROTOCOL_VERSION, 4);
  header[6] = type;
  header[7] = HEADER_BYTES;
  header.writeUInt32BE(payloadBytes, 8);
  header.writeBigUInt64BE(BigInt(address.generation), 16);
  header.writeBigUInt64BE(BigInt(address.epoch), 24);
  for (const [at, hex] of [
    [32, address.vmId],
    [48, address.sender],
    [64, address.receiver],
  ] as const) {
    assert(header.write(hex, at, 16, 'hex') === 16, `32 hex digits, not ${hex}`);
  }
  const digest = digestOf(header.subarray(0, DIGEST_OFFSET), ...payload);
  header.writeBigUInt64BE(digest, DIGEST_OFFSET);
  return { buffers: [header, ...payload], payloadBytes, digest };
}

/** A payload that is JSON: HELLO, WELCOME, REFUSE, FULL_BEGIN, GUEST_LOST, BYE, STANDBY. */
export function jsonPayload(value: unknown): Buffer[] {
  return [Buffer.from(JSON.stringify(value))];
}

/** Bytes that a text for the peer may take: what is left of 4 KiB is for the rest of the JSON. */
const TEXT_BYTES_MAX = 3 << 10;

/** REFUSE. A text that is too long for the message is cut. */
export function refusePayload(error: CurlingError): Buffer[] {
  return jsonPayload({ code: error.code, desc: cutForJson(error.message, TEXT_BYTES_MAX) });
}

/** GUEST_LOST and BYE. A text that is too long for the message is cut. */
export function reasonPayload(reason: string): Buffer[] {
  return jsonPayload({ reason: cutForJson(reason, TEXT_BYTES_MAX) });
}

/** STANDBY. A text that is too long for the message is cut. */
export function standbyPayload({ up, reason }: StandbyWord): Buffer[] {
  return jsonPayload({ up, reason: cutForJson(reason, TEXT_BYTES_MAX) });
}

/** PAGES: u32 entries, u32 data pages, the entries, the data. */
export function pagesPayload(chunk: PageChunk): Buffer[] {
  const { count, dataPages, entries } = chunk;
  return [pagesHead(count, dataPages, entries), chunk.data.subarray(0, chunk.dataBytes)];
}

/** PAGES, of pages as they were parsed. */
export function recordPayload({ count, dataPages, entries, data }: PagesRecord): Buffer[] {
  return [pagesHead(count, dataPages, entries), ...data.pieces];
}

/** The entries are copied, as each buffer of a message costs more than so few bytes. */
function pagesHead(count: number, dataPages: number, entries: Buffer): Buffer {
  const head = Buffer.allocUnsafe(PAGES_PREFIX_BYTES + count * ENTRY_BYTES);
  head.writeUInt32BE(count, 0);
  head.writeUInt32BE(dataPages, 4);
  entries.copy(head, PAGES_PREFIX_BYTES, 0, count * ENTRY_BYTES);
  return head;
}

/** DEVICE: u32 offset, u32 total, the bytes at that offset. */
export function devicePayload(piece: Buffer, offset: number, total: number): Buffer[] {
  const prefix = Buffer.alloc(DEVICE_PREFIX_BYTES);
  prefix.writeUInt32BE(offset, 0);
  prefix.writeUInt32BE(total, 4);
  return [prefix, piece];
}

export function commitPayload(record: CommitRecord): Buffer[] {
  const payload = Buffer.alloc(COMMIT_BYTES);
  payload.writeUInt32BE(record.messages, 0);
  payload.writeUInt32BE(record.pages, 4);
  payload.writeBigUInt64BE(BigInt(record.payloadBytes), 8);
  payload.writeBigUInt64BE(record.digest, 16);
  return [payload];
}

export function beatPayload(beat: Beat): Buffer[] {
  const payload = Buffer.alloc(BEAT_BYTES);
  payload.writeBigUInt64BE(BigInt(beat.stampUs), 0);
  payload.writeBigUInt64BE(BigInt(beat.echoUs), 8);
  payload.writeUInt32BE(Math.min(beat.heldUs, 0xffffffff), 16);
  return [payload];
}
