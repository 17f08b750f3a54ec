/**
 * Reader of pcap files (libpcap's pcap-savefile(5)): both byte orders, micro- and nanoseconds,
 * Ethernet only. Pure and streaming: chunks of any size in, frames out.
 *
 * Invariant: between calls the buffer holds less than one whole record, so at most
 * `frameBytesMax` + 16 bytes and a chunk.
 */
import { ObserverError } from './observer-error.ts';

export interface PcapFrame {
  /** Wall clock of the capture, milliseconds since 1970. */
  atMs: number;
  /** A view of the reader's chunk: copy what outlives it. */
  bytes: Buffer;
  /** The frame was longer than what was captured of it. */
  cut: boolean;
}

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const LINKTYPE_ETHERNET = 1;

interface Format {
  little: boolean;
  /** Units of the fraction in a millisecond. */
  fractionsPerMs: number;
}

const FORMATS = new Map<number, Format>([
  [0xa1b2c3d4, { little: false, fractionsPerMs: 1e3 }],
  [0xd4c3b2a1, { little: true, fractionsPerMs: 1e3 }],
  [0xa1b23c4d, { little: false, fractionsPerMs: 1e6 }],
  [0x4d3cb2a1, { little: true, fractionsPerMs: 1e6 }],
]);

export class PcapReader {
  readonly #frameBytesMax: number;
  #rest: Buffer = Buffer.alloc(0);
  #format: Format | undefined;
  frames = 0;

  constructor(frameBytesMax = 262_144) {
    this.#frameBytesMax = frameBytesMax;
  }

  /**
   * Bytes at the end that are no whole record: a capture that was ended in the middle of a write
   * leaves some.
   */
  get tailBytes(): number {
    return this.#rest.length;
  }

  /** The file's header was read. */
  get started(): boolean {
    return this.#format !== undefined;
  }

  /**
   * The frames that `chunk` completes.
   * @throws ObserverError when it is not such a file, or a frame is longer than allowed.
   */
  *push(chunk: Buffer): Generator<PcapFrame> {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    // What was not consumed is kept also when the consumer stops early.
    try {
      if (!this.#format) {
        if (bytes.length < FILE_HEADER_BYTES) return;
        this.#format = fileFormat(bytes);
        at = FILE_HEADER_BYTES;
      }
      while (bytes.length - at >= RECORD_HEADER_BYTES) {
        const capturedBytes = this.#u32(bytes, at + 8);
        if (capturedBytes > this.#frameBytesMax)
          throw new ObserverError(`frame ${this.frames + 1} claims ${capturedBytes} bytes`);
        const end = at + RECORD_HEADER_BYTES + capturedBytes;
        if (end > bytes.length) return;
        const frame = this.#frame(bytes, at, end);
        at = end;
        this.frames++;
        yield frame;
      }
    } finally {
      this.#rest = Buffer.from(bytes.subarray(at));
    }
  }

  #frame(bytes: Buffer, at: number, end: number): PcapFrame {
    const fraction = this.#u32(bytes, at + 4) / this.#format!.fractionsPerMs;
    return {
      atMs: this.#u32(bytes, at) * 1000 + fraction,
      bytes: bytes.subarray(at + RECORD_HEADER_BYTES, end),
      cut: this.#u32(bytes, at + 12) > end - at - RECORD_HEADER_BYTES,
    };
  }

  #u32(bytes: Buffer, at: number): number {
    return this.#format!.little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  }
}

function fileFormat(bytes: Buffer): Format {
  const format = FORMATS.get(bytes.readUInt32BE(0));
  if (!format)
    throw new ObserverError(`not a pcap file: it begins with ${bytes.toString('hex', 0, 4)}`);
  const linkType = format.little ? bytes.readUInt32LE(20) : bytes.readUInt32BE(20);
  if ((linkType & 0xffff) !== LINKTYPE_ETHERNET)
    throw new ObserverError(`the pcap file's link type is ${linkType}, expected Ethernet (1)`);
  return format;
}
