/**
 * Decodes what QEMU sends to the other end of COLO: its migration stream and, between checkpoints, COLO's messages.
 * Pure: chunks of any size in, pages and events out. Every length is checked before anything is reserved for it, and
 * the bytes of a page are copied once, straight to where the sink says.
 *
 *   first pass   u32 "QEVM", u32 version 3; configuration; commands and sections; device state; description
 *                (QEMU waits for READY)
 *   then, again and again
 *                u32 REQUEST           (waits for REPLY)
 *                u32 SEND              the guest is stopped from here on
 *                commands, sections of `ram`, u8 0x00
 *                u32 SIZE, u64 n, n bytes of device state: FULL sections and a final 0x00
 *                (waits for RECEIVED and LOADED)
 *
 *   section      u8 0x01 START, u32 id, name (u8 length, bytes), u32 instance, u32 version; records; footer
 *                u8 0x02 PART | 0x03 END, u32 id; records; footer
 *   footer       u8 0x7e, u32 id
 *   command      u8 0x08, u16 command, u16 length, data
 *
 * Seen in QEMU 7.2 and 10.0; after migration/savevm.c, migration/ram.c and migration/colo.c of QEMU.
 */
import type { GuestLayout, RamBlock, RamSection } from '../checkpoint/layout.ts';
import { type BlockListLimits, readBlockList } from './block-list.ts';
import { type Configuration, readMachine, readSubsection } from './configuration.ts';
import { DeviceTail, type TailLimits } from './device-tail.ts';
import { FieldReader } from './field-reader.ts';
import { GrowingBuffer } from './growing-buffer.ts';
import type { PageSink } from './page-sink.ts';
import { RamPages } from './ram-pages.ts';
import { mainBlockOf, nextPart, readRamStart } from './ram-section.ts';
import {
  COLO,
  FILE_MAGIC,
  FILE_VERSION,
  hex,
  IGNORE_SHARED,
  PART,
  streamError,
} from './stream-format.ts';
import { type Steps, StreamSteps } from './stream-steps.ts';

/** What the decoder tells, from within `push`, in the stream's order. */
export interface StreamEvents {
  /** Before the first page. */
  layout(layout: GuestLayout): void;
  /** The first pass is over; `device` has the form of a checkpoint's device state. QEMU waits for READY. */
  firstPass(device: Buffer): void;
  /** QEMU asks for a checkpoint and waits for REPLY; the guest runs. */
  request(): void;
  /** The guest is stopped; the pages of a checkpoint follow. */
  stopped(): void;
  /** All of a checkpoint has come. QEMU waits for RECEIVED and LOADED. */
  checkpoint(device: Buffer): void;
}

export interface StreamDecoderOptions extends Partial<TailLimits & BlockListLimits> {
  /** Name of the block that is the guest's main memory. Default: the largest one. */
  mainBlockName?: string;
}

const DEFAULT_LIMITS = {
  deviceBytesMax: 64 << 20,
  descriptionBytesMax: 16 << 20,
  blocksMax: 64,
  ramBytesMax: 2 ** 42,
};
/** Device state is rarely larger than this; a larger one costs copies while it comes. */
const DEVICE_FIRST_BYTES = 1 << 20;

export class StreamDecoder {
  readonly #sink: PageSink;
  readonly #events: StreamEvents;
  readonly #limits: typeof DEFAULT_LIMITS;
  readonly #mainBlockName: string | undefined;
  readonly #reader = new FieldReader();
  readonly #steps: StreamSteps;

  constructor(sink: PageSink, events: StreamEvents, options: StreamDecoderOptions = {}) {
    const { mainBlockName, ...limits } = options;
    this.#sink = sink;
    this.#events = events;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#mainBlockName = mainBlockName;
    this.#steps = new StreamSteps(this.#reader, this.#stream());
  }

  /**
   * Decodes a chunk of any size; the bytes are not kept. Events and pages come from within this call.
   * @throws CurlingError CURLING_QEMU_STREAM for bytes that are not what they must be; from then on, every call does.
   */
  push(chunk: Buffer): void {
    this.#steps.push(chunk);
  }

  *#stream(): Steps<never> {
    const { ram, pages } = yield* this.#head();
    let part: number = PART.sectionStart;
    while (part !== PART.sectionEnd) {
      part = yield* nextPart(this.#reader);
      yield* this.#section(part, ram, pages);
    }
    const tail = new DeviceTail(this.#limits);
    yield tail;
    this.#events.firstPass(tail.device);
    for (;;) yield* this.#checkpoint(ram, pages);
  }

  /** File header, configuration, and the section START of `ram` with its list of blocks. */
  *#head(): Steps<{ ram: RamSection; pages: RamPages }> {
    const reader = this.#reader;
    yield 8;
    this.#expect('"QEVM"', FILE_MAGIC, reader.u32());
    this.#expect('version', FILE_VERSION, reader.u32());
    yield 1;
    this.#expect('the configuration section', PART.configuration, reader.u8());
    const machine = yield* readMachine(reader);
    const configuration = { machine, subsections: Buffer.alloc(0), capabilities: [] };
    let part = yield* nextPart(this.#reader);
    for (; part === PART.subsection; part = yield* nextPart(this.#reader))
      yield* readSubsection(reader, configuration);
    this.#expect('a section START', PART.sectionStart, part);
    const ram = yield* readRamStart(reader);
    const blocks = yield* this.#blocks(configuration);
    this.#events.layout(this.#layout(configuration, ram, blocks));
    const pages = new RamPages(this.#sink, blocks);
    yield pages;
    yield* this.#footer(ram);
    return { ram, pages };
  }

  *#blocks(configuration: Configuration): Steps<RamBlock[]> {
    const guestAddresses = configuration.capabilities.includes(IGNORE_SHARED);
    return yield* readBlockList(this.#reader, guestAddresses, this.#limits);
  }

  /** One section PART or END of `ram`, after its first byte. */
  *#section(part: number, ram: RamSection, pages: RamPages): Steps<void> {
    if (part !== PART.sectionPart && part !== PART.sectionEnd)
      throw streamError('a section PART or END', hex(part), this.#reader.position);
    yield 4;
    this.#expect("ram's section id", ram.sectionId, this.#reader.u32());
    yield pages;
    yield* this.#footer(ram);
  }

  *#footer(ram: RamSection): Steps<void> {
    yield 5;
    this.#expect("a section's footer", PART.footer, this.#reader.u8());
    this.#expect("ram's section id", ram.sectionId, this.#reader.u32());
  }

  *#checkpoint(ram: RamSection, pages: RamPages): Steps<void> {
    const reader = this.#reader;
    yield 4;
    this.#expect('REQUEST', COLO.request, reader.u32());
    this.#events.request();
    yield 4;
    this.#expect('SEND', COLO.send, reader.u32());
    this.#events.stopped();
    for (
      let part = yield* nextPart(this.#reader);
      part !== PART.end;
      part = yield* nextPart(this.#reader)
    )
      yield* this.#section(part, ram, pages);
    yield 12;
    this.#expect('SIZE', COLO.size, reader.u32());
    const deviceBytes = reader.u64();
    if (deviceBytes === 0 || deviceBytes > this.#limits.deviceBytesMax) {
      const expected = `device state of 1 to ${this.#limits.deviceBytesMax} bytes`;
      throw streamError(expected, `${deviceBytes} bytes`, reader.position);
    }
    const device = new GrowingBuffer(deviceBytes, DEVICE_FIRST_BYTES);
    yield device;
    this.#events.checkpoint(device.bytes);
  }

  #layout(configuration: Configuration, ram: RamSection, blocks: RamBlock[]): GuestLayout {
    const { machine, subsections } = configuration;
    const mainBlock = mainBlockOf(blocks, this.#mainBlockName, this.#reader);
    return { machine, subsections, ram, blocks, mainBlock };
  }

  #expect(what: string, expected: number, got: number): void {
    if (got === expected) return;
    throw streamError(`${what} (${hex(expected)})`, hex(got), this.#reader.position);
  }
}
