/**
 * The blocks of a pcapng file, as far as a recording needs them. Pure: facts in, bytes out. The source is the IETF's
 * draft-ietf-opsawg-pcapng; a file is in the byte order of who writes it, here little endian. Everything is a multiple of
 * four bytes:
 *
 *   block                  0 type, 4 length, 8 body …, length again
 *   option, at a body's end   0 code (u16), 2 length of the value (u16), 4 value, zeros to a multiple of 4; code 0 ends
 *
 *   section header         8 byte order magic, 12 version 1.0 (2 u16), 16 length of the section (i64, -1: unsaid), options
 *   interface description  8 link type (u16), 10 zero (u16), 12 snap length, options
 *   enhanced packet        8 interface, 12 time high, 16 time low, 20 bytes captured, 24 bytes of the frame, 28 bytes …,
 *                          options
 *   interface statistics   8 interface, 12 time high, 16 time low, options
 *
 * An interface has the number of its description in the file, from 0. Times are 64 bits of nanoseconds since 1970.
 */

const BLOCK = {
  interfaceDescription: 1,
  interfaceStatistics: 5,
  enhancedPacket: 6,
  sectionHeader: 0x0a0d0d0a,
} as const;

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
/** Codes of options. Those above 1 mean something else in every kind of block. */
const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_DESCRIPTION = 3;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
const EPB_DROPCOUNT = 4;
const ISB_IFRECV = 4;
const ISB_IFDROP = 5;
const ISB_USRDELIV = 8;

/** Bits of epb_flags. */
export const PACKET_OUTBOUND = 2;
/** Its checksum is left to a network card. */
export const PACKET_CHECKSUM_NOT_READY = 1 << 9;
/** It is to be cut into segments. */
export const PACKET_SEGMENTED_LATER = 1 << 11;

/** A length of the frame's bytes that no reader refuses: libpcap's MAXIMUM_SNAPLEN. */
export const SNAP_BYTES_MAX = 262_144;
/** Where the frame's bytes lie in an enhanced packet block. */
export const PACKET_BYTES_AT = 28;
/** Without the frame's bytes and the comment: the head, epb_flags, epb_dropcount, the end of the options, the length. */
const PACKET_OVERHEAD_BYTES = PACKET_BYTES_AT + 8 + 12 + 4 + 4;
const NANOSECONDS_PER_S = 1_000_000_000;

/** A frame to be described. One object serves for all frames, so that none is made for each. */
export interface Packet {
  interfaceId: number;
  seconds: number;
  nanoseconds: number;
  /** Bytes of the frame that are in the block. */
  capturedBytes: number;
  /** Bytes of the frame. */
  frameBytes: number;
  flags: number;
  /** Frames between the interface's last one and this that are missing in the file. */
  missing: number;
  /** Of `commentWords`. */
  comment: Uint32Array;
}

/** What an interface has counted since the start. */
export interface InterfaceCounts {
  interfaceId: number;
  /** Frames that passed it. */
  frames: number;
  /** Those of them that are in the file. */
  recorded: number;
}

/** The block that begins a file. */
export function sectionHeader(application: string, comment: string): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
  body.writeUInt16LE(1, 4);
  body.writeBigInt64LE(-1n, 8);
  const options = [option(SHB_USERAPPL, application), option(OPT_COMMENT, comment)];
  return block(BLOCK.sectionHeader, body, options);
}

/** The next Ethernet interface. */
export function interfaceDescription(name: string, about: string, snapBytes: number): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt16LE(LINKTYPE_ETHERNET, 0);
  body.writeUInt32LE(snapBytes, 4);
  return block(BLOCK.interfaceDescription, body, [
    option(IF_NAME, name),
    option(IF_DESCRIPTION, about),
    option(IF_TSRESOL, Buffer.from([9])),
  ]);
}

/** What one interface has counted until this moment. Readers show isb_ifdrop as the frames that are missing. */
export function interfaceStatistics(
  counts: InterfaceCounts,
  seconds: number,
  nanoseconds: number,
): Buffer {
  const words = new Uint32Array(3);
  words[0] = counts.interfaceId;
  putTime(words, 1, seconds, nanoseconds);
  return block(BLOCK.interfaceStatistics, Buffer.from(words.buffer), [
    option(ISB_IFRECV, u64(counts.frames)),
    option(ISB_IFDROP, u64(counts.frames - counts.recorded)),
    option(ISB_USRDELIV, u64(counts.recorded)),
  ]);
}

/** A comment as an option, ready to be put behind frame after frame. */
export function commentWords(text: string): Uint32Array {
  return new Uint32Array(Uint8Array.from(option(OPT_COMMENT, text)).buffer);
}

/** How many bytes the block of a frame may take. */
export function packetBlockBytes(packet: Packet): number {
  const unused = packet.missing === 0 ? 12 : 0;
  const bytes = PACKET_OVERHEAD_BYTES - unused + packet.comment.byteLength;
  return bytes + padded(packet.capturedBytes);
}

/**
 * Writes a frame's block of `packetBlockBytes` at `at`, a multiple of 4, all but the frame's bytes, which are there
 * already, at `at` + PACKET_BYTES_AT.
 * @param words,bytes The same memory.
 */
export function putPacket(words: Uint32Array, bytes: Uint8Array, at: number, packet: Packet): void {
  const { capturedBytes, missing, comment } = packet;
  const length = packetBlockBytes(packet);
  let word = at >>> 2;
  words[word] = BLOCK.enhancedPacket;
  words[word + 1] = length;
  words[word + 2] = packet.interfaceId;
  putTime(words, word + 3, packet.seconds, packet.nanoseconds);
  words[word + 5] = capturedBytes;
  words[word + 6] = packet.frameBytes;
  const end = at + PACKET_BYTES_AT + capturedBytes;
  for (let padding = end; (padding & 3) !== 0; padding++) bytes[padding] = 0;
  word = padded(end) >>> 2;
  words[word++] = EPB_FLAGS | (4 << 16);
  words[word++] = packet.flags;
  if (missing > 0) {
    words[word++] = EPB_DROPCOUNT | (8 << 16);
    words[word++] = missing >>> 0;
    words[word++] = missing / 0x1_0000_0000;
  }
  // Word by word: a call would take longer.
  for (let index = 0; index < comment.length; index++) words[word++] = comment[index]!;
  words[word++] = 0;
  words[word] = length;
}

/**
 * How many of the first `length` bytes are whole blocks.
 * @param frames Per interface: the frames in these blocks are added.
 */
export function wholeBlocks(bytes: Buffer, length: number, frames: number[]): number {
  let at = 0;
  while (at + 12 <= length) {
    const end = at + bytes.readUInt32LE(at + 4);
    if (end > length || end === at) break;
    if (bytes.readUInt32LE(at) === BLOCK.enhancedPacket) frames[bytes.readUInt32LE(at + 8)]!++;
    at = end;
  }
  return at;
}

/**
 * Writes a time, upper half first. Its nanoseconds are beyond the whole numbers that a double holds, so they are put
 * together from the halves of the seconds.
 */
function putTime(words: Uint32Array, at: number, seconds: number, nanoseconds: number): void {
  const upper = Math.floor(seconds / 0x1_0000) * NANOSECONDS_PER_S;
  const low =
    (upper % 0x1_0000) * 0x1_0000 + (seconds % 0x1_0000) * NANOSECONDS_PER_S + nanoseconds;
  words[at] = Math.floor(upper / 0x1_0000) + Math.floor(low / 0x1_0000_0000);
  words[at + 1] = low % 0x1_0000_0000;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function option(code: number, value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  const result = Buffer.alloc(4 + padded(bytes.length));
  result.writeUInt16LE(code, 0);
  result.writeUInt16LE(bytes.length, 2);
  result.set(bytes, 4);
  return result;
}

function block(type: number, body: Buffer, options: readonly Buffer[]): Buffer {
  const inside = Buffer.concat([body, ...options, Buffer.alloc(4)]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(inside.length + 12);
  const start = Buffer.alloc(4);
  start.writeUInt32LE(type);
  return Buffer.concat([start, length, inside, length]);
}
