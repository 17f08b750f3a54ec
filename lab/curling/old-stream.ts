/**
 * Reads COLO's stream of an old machine type (before 2.4: no configuration section, no footers, no description) and writes
 * it down again in Curling's form. Pure: chunks in, bytes and steps out.
 *
 * The RAM of the first pass and of COLO's first checkpoint become Curling's first checkpoint, each further checkpoint one
 * of Curling's. The device state of the first pass is passed over: it has no length and nothing at its end, but QEMU waits
 * behind it, and COLO's checkpoints have their own with their size.
 */
import { PAGE_BYTES, type RamBlock, type RamSection } from '../../coordinator/checkpoint/layout.ts';
import {
  CHECKPOINT_MAGIC,
  CHECKPOINT_VERSION,
  END_SIGNATURE,
} from '../../coordinator/curling/format.ts';
import { readBlockList } from '../../coordinator/qemu/block-list.ts';
import { bytesOf, u32, u64 } from '../../coordinator/qemu/bytes.ts';
import { FieldReader } from '../../coordinator/qemu/field-reader.ts';
import { GrowingBuffer } from '../../coordinator/qemu/growing-buffer.ts';
import type { PageSink } from '../../coordinator/qemu/page-sink.ts';
import { RamPages } from '../../coordinator/qemu/ram-pages.ts';
import {
  encodeName,
  encodeRamStart,
  nextPart,
  readRamStart,
} from '../../coordinator/qemu/ram-section.ts';
import {
  COLO,
  FILE_MAGIC,
  FILE_VERSION,
  hex,
  PART,
  RAM_FLAG,
  streamError,
} from '../../coordinator/qemu/stream-format.ts';
import { type Steps, StreamSteps } from '../../coordinator/qemu/stream-steps.ts';

const LIMITS = { blocksMax: 64, ramBytesMax: 2 ** 36 };
const DEVICE_BYTES_MAX = 64 << 20;
/** What is written in one piece. */
const PIECE_BYTES = 64 << 10;

export interface OldStreamEvents {
  /** Bytes of Curling's stream, in order; they belong to the callee. */
  write(bytes: Buffer): void;
  /** The RAM of the first pass has come; bytes that follow are passed over until `waits` is called. */
  copied(): void;
  /** QEMU waits for REPLY. */
  request(): void;
  /** The device state of a checkpoint, the guest is stopped: nothing of it is written yet. */
  staged(device: Buffer): void;
}

export class OldStream {
  readonly #events: OldStreamEvents;
  readonly #reader = new FieldReader();
  readonly #steps: StreamSteps;
  #copied = false;
  #head: Buffer = Buffer.alloc(0);
  #piece = Buffer.alloc(PIECE_BYTES);
  #pieceBytes = 0;

  constructor(events: OldStreamEvents) {
    this.#events = events;
    this.#steps = new StreamSteps(this.#reader, this.#stream());
  }

  push(chunk: Buffer): void {
    this.#steps.push(chunk);
  }

  /** QEMU waits for READY: what came behind the first pass's RAM was all of its device state. */
  waits(): void {
    this.#copied = true;
  }

  /** The head of a checkpoint: header and the START of `ram`. Writes it. */
  begin(): void {
    this.#write(this.#head, u64(RAM_FLAG.endOfSection));
    this.#flush();
  }

  /** The end of a checkpoint: device state and signature, as they are to be written. */
  static end(device: Buffer): Buffer {
    return bytesOf(device, END_SIGNATURE);
  }

  *#stream(): Steps<never> {
    const reader = this.#reader;
    yield 8;
    this.#expect('"QEVM"', FILE_MAGIC, reader.u32());
    this.#expect('version', FILE_VERSION, reader.u32());
    this.#expect('a section START', PART.sectionStart, yield* nextPart(this.#reader));
    const ram = yield* readRamStart(reader);
    const blocks = yield* readBlockList(reader, false, LIMITS);
    this.#head = bytesOf(
      u32(CHECKPOINT_MAGIC),
      u32(CHECKPOINT_VERSION),
      encodeRamStart({ ram, blocks }, false),
    );
    const pages = new RamPages(this.#pageSink(blocks), blocks);
    this.begin();
    let part: number = PART.sectionStart;
    // START has records behind its list of blocks; here they are a section of their own.
    yield* this.#section(PART.sectionPart, ram, pages);
    while (part !== PART.sectionEnd) {
      part = yield* nextPart(this.#reader);
      yield 4;
      this.#expect("ram's section id", ram.sectionId, reader.u32());
      yield* this.#section(PART.sectionPart, ram, pages);
    }
    this.#flush();
    this.#events.copied();
    yield { consume: rest => this.#copied || rest.skip(rest.left) < 0 };
    for (;;) yield* this.#checkpoint(ram, pages);
  }

  *#checkpoint(ram: RamSection, pages: RamPages): Steps<void> {
    const reader = this.#reader;
    yield 4;
    this.#expect('REQUEST', COLO.request, reader.u32());
    this.#events.request();
    yield 4;
    this.#expect('SEND', COLO.send, reader.u32());
    for (
      let part = yield* nextPart(this.#reader);
      part !== PART.end;
      part = yield* nextPart(this.#reader)
    ) {
      this.#expect('a section END', PART.sectionEnd, part);
      yield 4;
      this.#expect("ram's section id", ram.sectionId, reader.u32());
      yield* this.#section(PART.sectionEnd, ram, pages);
    }
    this.#flush();
    yield 12;
    this.#expect('SIZE', COLO.size, reader.u32());
    const bytes = reader.u64();
    if (bytes > DEVICE_BYTES_MAX)
      throw streamError(`at most ${DEVICE_BYTES_MAX} bytes`, `${bytes}`, reader.position);
    const device = new GrowingBuffer(bytes, 1 << 20);
    yield device;
    this.#events.staged(Buffer.from(device.bytes));
  }

  *#section(type: number, ram: RamSection, pages: RamPages): Steps<void> {
    this.#write(bytesOf(type, u32(ram.sectionId)));
    yield pages;
    this.#write(u64(RAM_FLAG.endOfSection));
  }

  /** Writes records without CONTINUE: each names its block. */
  #pageSink(blocks: readonly RamBlock[]): PageSink {
    const names = blocks.map(block => encodeName(block.name));
    const page = Buffer.alloc(PAGE_BYTES);
    let header: Buffer = Buffer.alloc(0);
    const record = (block: number, number: number, flag: number) =>
      bytesOf(u64(number * PAGE_BYTES + flag), names[block]!);
    return {
      target: { buffer: page, offset: 0 },
      dataPage: (block, number) => {
        header = record(block, number, RAM_FLAG.page);
      },
      pageDone: () => this.#write(header, page),
      fillPage: (block, number, fill) =>
        this.#write(record(block, number, RAM_FLAG.zero), bytesOf(fill)),
    };
  }

  #write(...pieces: Buffer[]): void {
    for (const piece of pieces) {
      if (this.#pieceBytes + piece.length > PIECE_BYTES) this.#flush();
      this.#pieceBytes += piece.copy(this.#piece, this.#pieceBytes);
    }
  }

  #flush(): void {
    if (this.#pieceBytes > 0) this.#events.write(this.#piece.subarray(0, this.#pieceBytes));
    this.#piece = Buffer.alloc(PIECE_BYTES);
    this.#pieceBytes = 0;
  }

  #expect(what: string, expected: number, got: number): void {
    if (got === expected) return;
    throw streamError(`${what} (${hex(expected)})`, hex(got), this.#reader.position);
  }
}
