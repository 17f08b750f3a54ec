/**
 * Bytes to frames. Chunks of any size go in; a frame comes out with its payload as views of these
 * chunks, once its digest was found right. Nothing is ever allocated by a length that the peer
 * claims. A payload that lies in slabs is its owner's to release; small ones are copied out of them.
 *
 * Invariant: the decoder keeps the views of less than one frame besides what was pushed and not yet
 * asked for.
 */
import assert from 'node:assert/strict';
import { CurlingError } from '../../common/errors.ts';
import { digestOf } from './digest.ts';
import { Rope } from './rope.ts';
import type { Slab } from './slabs.ts';
import {
  DIGEST_OFFSET,
  type FrameAddress,
  HEADER_BYTES,
  MAGIC,
  MESSAGE,
  type MessageType,
  NO_INCARNATION,
  PAYLOAD_BYTES,
  PREFIX_BYTES,
  PROTOCOL_VERSION,
} from './types.ts';

/** A message as it came. */
export interface Frame extends FrameAddress {
  /**
   * PROTOCOL_VERSION, or that of a peer that refuses ours; then only the payload means anything.
   */
  version: number;
  type: MessageType;
  digest: bigint;
  /** The header's bytes, for who keeps the frame as it is. */
  header: Buffer;
  /** Whoever keeps the frame releases it after its last use, if its size can be more than COPIED_BYTES_MAX. */
  payload: Rope;
}

const TYPES: ReadonlySet<number> = new Set(Object.values(MESSAGE));

/** Payloads up to this are copied out of their slabs: a few bytes must not keep a slab for long. */
const COPIED_BYTES_MAX = 16 << 10;

/** A chunk, or what is left of it, and the slab that it lies in, which is used once for it. */
interface Queued {
  chunk: Buffer;
  slab: Slab | undefined;
}

export class FrameDecoder {
  readonly #queue: Queued[] = [];
  #queuedBytes = 0;
  #frame: { frame: Frame; left: number; foreign: boolean } | undefined;

  /**
   * Takes what the peer sent. The chunk must not change any more: frames refer to it.
   * @param slab What the chunk lies in: it is used until the frames that refer to it are released.
   */
  push(chunk: Buffer, slab?: Slab): void {
    if (chunk.length === 0) return;
    slab?.use();
    this.#queue.push({ chunk, slab });
    this.#queuedBytes += chunk.length;
  }

  /** True in the middle of a frame: an end of the stream here is a loss. */
  get partial(): boolean {
    return this.#frame !== undefined || this.#queuedBytes > 0;
  }

  /**
   * The next whole frame, or undefined when more bytes are needed.
   * @throws CurlingError CURLING_REPLICATION_FRAME for what is no frame,
   *   CURLING_REPLICATION_VERSION for one of another version, CURLING_REPLICATION_DIGEST for a
   *   damaged one. The decoder must not be used afterwards.
   */
  next(): Frame | undefined {
    if (!this.#frame) {
      if (this.#queuedBytes < PREFIX_BYTES) return undefined;
      const headerBytes = checkPrefix(this.#peek(PREFIX_BYTES));
      if (this.#queuedBytes < headerBytes) return undefined;
      this.#begin(Buffer.from(this.#peek(headerBytes)));
      this.#drop(headerBytes);
    }
    return this.#finish();
  }

  #begin(header: Buffer): void {
    const version = header.readUInt16BE(4);
    const foreign = version !== PROTOCOL_VERSION;
    const frame: Frame = {
      version,
      type: header[6] as MessageType,
      ...(foreign ? NO_ADDRESS : addressOf(header)),
      digest: foreign ? 0n : header.readBigUInt64BE(DIGEST_OFFSET),
      header,
      payload: new Rope(),
    };
    this.#frame = { frame, left: header.readUInt32BE(8), foreign };
  }

  #finish(): Frame | undefined {
    const current = this.#frame;
    assert(current);
    let crowded = false;
    while (current.left > 0 && this.#queue.length > 0) {
      const { chunk, slab } = this.#queue[0]!;
      crowded = slab?.crowded ?? false;
      const piece = chunk.subarray(0, current.left);
      current.left -= piece.length;
      current.frame.payload.push(piece, slab);
      this.#drop(piece.length);
    }
    if (current.left > 0) return undefined;
    this.#frame = undefined;
    const { frame, foreign } = current;
    if (!foreign) checkDigest(frame);
    if (crowded || frame.payload.bytes <= COPIED_BYTES_MAX) frame.payload.own();
    return frame;
  }

  /** The first `bytes` queued bytes; copied only when they cross a border. */
  #peek(bytes: number): Buffer {
    const first = this.#queue[0]!.chunk;
    if (first.length >= bytes) return first.subarray(0, bytes);
    const parts: Buffer[] = [];
    let have = 0;
    for (const { chunk } of this.#queue) {
      parts.push(chunk.subarray(0, bytes - have));
      have += parts.at(-1)!.length;
      if (have === bytes) break;
    }
    return Buffer.concat(parts, bytes);
  }

  #drop(bytes: number): void {
    this.#queuedBytes -= bytes;
    while (bytes > 0) {
      const first = this.#queue[0]!;
      if (first.chunk.length > bytes) {
        first.chunk = first.chunk.subarray(bytes);
        return;
      }
      bytes -= first.chunk.length;
      this.#queue.shift();
      first.slab?.release();
    }
  }
}

/** After the last byte, so that it takes few and long updates; they are in a cache still. */
function checkDigest({ header, payload, digest, type, epoch }: Frame): void {
  if (digestOf(header.subarray(0, DIGEST_OFFSET), ...payload.pieces) === digest) return;
  const text = `message ${type} of epoch ${epoch} was damaged on its way`;
  throw new CurlingError('CURLING_REPLICATION_DIGEST', text);
}

const NO_ADDRESS: FrameAddress = {
  generation: 0,
  epoch: 0,
  vmId: NO_INCARNATION,
  sender: NO_INCARNATION,
  receiver: NO_INCARNATION,
};

/** Checks what is stable over versions and returns the header's length. */
function checkPrefix(prefix: Buffer): number {
  const magic = prefix.readUInt32BE(0);
  if (magic !== MAGIC) {
    throw frameError(`expected a message, got bytes that begin with 0x${magic.toString(16)}`);
  }
  const version = prefix.readUInt16BE(4);
  const type = prefix[6]!;
  const headerBytes = prefix[7]!;
  const payloadBytes = prefix.readUInt32BE(8);
  if (headerBytes < PREFIX_BYTES || prefix.readUInt32BE(12) !== 0) {
    throw frameError(`a header of ${headerBytes} bytes, or what must be zero is not`);
  }
  const foreign = version !== PROTOCOL_VERSION;
  if (foreign && type !== MESSAGE.refuse) throw versionError(version);
  if (!TYPES.has(type)) throw frameError(`there is no message of type ${type}`);
  if (!foreign && headerBytes !== HEADER_BYTES) {
    throw frameError(`expected a header of ${HEADER_BYTES} bytes, got ${headerBytes}`);
  }
  const [min, max] = PAYLOAD_BYTES[type as MessageType];
  if (payloadBytes < min || payloadBytes > max) {
    const expected = min === max ? `${max}` : `${min} to ${max}`;
    throw frameError(`message ${type}: expected ${expected} bytes, got ${payloadBytes}`);
  }
  return headerBytes;
}

function addressOf(header: Buffer): FrameAddress {
  return {
    generation: safeInteger('generation', header.readBigUInt64BE(16)),
    epoch: safeInteger('epoch', header.readBigUInt64BE(24)),
    vmId: header.toString('hex', 32, 48),
    sender: header.toString('hex', 48, 64),
    receiver: header.toString('hex', 64, 80),
  };
}

/**
 * A u64 as a number.
 * @throws CurlingError CURLING_REPLICATION_FRAME above 2^53 - 1.
 */
export function safeInteger(what: string, value: bigint): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw frameError(`${what} ${value} is larger than any that is used`);
}

/** What came is not what the protocol says. */
export function frameError(text: string, cause?: unknown): CurlingError {
  return new CurlingError('CURLING_REPLICATION_FRAME', text, cause === undefined ? {} : { cause });
}

/** The peer speaks another version than this program. */
export function versionError(theirs: number): CurlingError {
  const text =
    `this host speaks version ${PROTOCOL_VERSION} of the replication protocol, ` +
    `the other host version ${theirs}; install the same curling on both`;
  return new CurlingError('CURLING_REPLICATION_VERSION', text);
}
