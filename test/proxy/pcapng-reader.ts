/**
 * Reads pcapng files as the specification says, and shares nothing with who writes them. It refuses what is not whole or
 * not as it must be; what stands behind the last whole block is given apart.
 */
import { Buffer } from 'node:buffer';

export interface ReadPacket {
  interface: number;
  /** Nanoseconds since 1970. */
  atNs: bigint;
  bytes: Buffer;
  /** Of the frame, when it was longer. */
  frameBytes: number;
  flags: number;
  /** epb_dropcount; 0 when it is not there. */
  missing: number;
  comment: string;
}

export interface ReadFile {
  application: string;
  interfaces: { name: string; about: string; snapBytes: number }[];
  packets: ReadPacket[];
  /** In the order of the file. */
  statistics: { interface: number; frames: number; missing: number; delivered: number }[];
  /** Bytes that are no whole block. */
  tailBytes: number;
}

type Options = Map<number, Buffer>;

function must(condition: unknown, text: string): asserts condition {
  if (!condition) throw new Error(`not a pcapng file as expected: ${text}`);
}

export function readPcapng(file: Buffer): ReadFile {
  const read: ReadFile = {
    application: '',
    interfaces: [],
    packets: [],
    statistics: [],
    tailBytes: 0,
  };
  must(file.readUInt32LE(0) === 0x0a0d0d0a, 'it begins with no section');
  must(file.readUInt32LE(8) === 0x1a2b3c4d, 'the byte order');
  let at = 0;
  while (file.length - at >= 12) {
    const length = file.readUInt32LE(at + 4);
    must(length >= 12 && length % 4 === 0, `a block of ${length} bytes at ${at}`);
    if (at + length > file.length) break;
    must(file.readUInt32LE(at + length - 4) === length, `the block at ${at} has two lengths`);
    readBlock(file.readUInt32LE(at), file.subarray(at + 8, at + length - 4), read);
    at += length;
  }
  read.tailBytes = file.length - at;
  return read;
}

function readBlock(type: number, body: Buffer, read: ReadFile): void {
  if (type === 0x0a0d0d0a) {
    must(body.readUInt16LE(4) === 1 && body.readUInt16LE(6) === 0, 'the version');
    must(body.readBigInt64LE(8) === -1n, 'the length of the section');
    read.application = text(optionsOf(body, 16), 4);
  } else if (type === 1) {
    must(body.readUInt16LE(0) === 1 && body.readUInt16LE(2) === 0, 'the link type');
    const options = optionsOf(body, 8);
    must(options.get(9)?.equals(Buffer.from([9])), 'times are not nanoseconds');
    const snapBytes = body.readUInt32LE(4);
    read.interfaces.push({ name: text(options, 2), about: text(options, 3), snapBytes });
  } else if (type === 6) readPacket(body, read);
  else if (type === 5) {
    const options = optionsOf(body, 12);
    read.statistics.push({
      interface: body.readUInt32LE(0),
      frames: number(options, 4),
      missing: number(options, 5),
      delivered: number(options, 8),
    });
  } else must(false, `a block of type ${type}`);
}

function readPacket(body: Buffer, read: ReadFile): void {
  const [id, captured] = [body.readUInt32LE(0), body.readUInt32LE(12)];
  const described = read.interfaces[id];
  must(described, `no interface ${id}`);
  must(captured <= described.snapBytes, `${captured} bytes of a frame`);
  const end = 20 + captured;
  const next = Math.ceil(end / 4) * 4;
  must(body.subarray(end, next).equals(Buffer.alloc(next - end)), 'padding that is not zero');
  const options = optionsOf(body, next);
  read.packets.push({
    interface: id,
    atNs: BigInt(body.readUInt32LE(4)) * 2n ** 32n + BigInt(body.readUInt32LE(8)),
    bytes: Buffer.from(body.subarray(20, end)),
    frameBytes: body.readUInt32LE(16),
    flags: options.get(2)?.readUInt32LE(0) ?? -1,
    missing: options.has(4) ? number(options, 4) : 0,
    comment: text(options, 1),
  });
}

function optionsOf(body: Buffer, start: number): Options {
  const options: Options = new Map();
  for (let at = start; ; ) {
    const [code, length] = [body.readUInt16LE(at), body.readUInt16LE(at + 2)];
    if (code === 0) {
      must(length === 0 && at + 4 === body.length, 'something behind the last option');
      return options;
    }
    must(!options.has(code), `option ${code} twice`);
    options.set(code, body.subarray(at + 4, at + 4 + length));
    at += 4 + Math.ceil(length / 4) * 4;
  }
}

function text(options: Options, code: number): string {
  return options.get(code)?.toString('utf8') ?? '';
}

function number(options: Options, code: number): number {
  const bytes = options.get(code);
  must(bytes?.length === 8, `option ${code} is no number of 64 bits`);
  return Number(bytes.readBigUInt64LE(0));
}
