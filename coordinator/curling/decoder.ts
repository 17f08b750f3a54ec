/**
 * Decodes Curling's own stream: one checkpoint after the other on one connection, without any answer. Pure, as
 * StreamDecoder: chunks of any size in, pages and events out.
 *
 *   checkpoint   u32 "QEFT", u32 version 3
 *                u8 0x01 START, u32 id, name ram, u32 instance, u32 version; list of RAM blocks; records
 *                u8 0x02 PART | 0x03 END, u32 id; records          any number of PART, one END
 *                device state: FULL sections, u8 0x00
 *                u64 signature 0xFEEDCAFE                          and the next checkpoint
 *
 * It is the form of QEMU before 2.4: no configuration section, no footers, no description. RAM is read record by record,
 * so what is in a page never matters. Device sections have no length: their end is believed only where the signature and
 * the head of the next checkpoint follow, with the same section and the same RAM blocks (DeviceEnd). So a checkpoint is
 * whole when the next one begins, and one whose successor never comes does not count.
 */
import type { GuestLayout } from '../checkpoint/layout.ts';
import { type BlockListLimits, readBlockList } from '../qemu/block-list.ts';
import { bytesOf, u32 } from '../qemu/bytes.ts';
import { FieldReader } from '../qemu/field-reader.ts';
import type { PageSink } from '../qemu/page-sink.ts';
import { RamPages } from '../qemu/ram-pages.ts';
import { encodeRamStart, mainBlockOf, readRamStart } from '../qemu/ram-section.ts';
import { hex, PART, streamError } from '../qemu/stream-format.ts';
import { type Steps, StreamSteps } from '../qemu/stream-steps.ts';
import { DeviceEnd } from './device-end.ts';
import { CHECKPOINT_MAGIC, CHECKPOINT_VERSION, END_SIGNATURE } from './format.ts';

/** What the decoder tells, from within `push`, in the stream's order. */
export interface CurlingEvents {
  /** The first checkpoint begins; before the first page. */
  layout(layout: GuestLayout): void;
  /** A checkpoint is whole, and the next one has begun: pages from here on are its. */
  checkpoint(device: Buffer): void;
}

export interface CurlingDecoderOptions extends Partial<BlockListLimits> {
  /** Name of the block that is the guest's main memory. Default: the largest one. */
  mainBlockName?: string;
  /** Bytes of device state. Default 64 MiB. */
  deviceBytesMax?: number;
}

const DEFAULT_LIMITS = { deviceBytesMax: 64 << 20, blocksMax: 64, ramBytesMax: 2 ** 42 };
/** The pages of a checkpoint are at most this many times the guest's RAM; those of the first, a full copy, may be more. */
const CHECKPOINT_RAM_SHARE = 1.5;

export class CurlingDecoder {
  readonly #sink: PageSink;
  readonly #events: CurlingEvents;
  readonly #limits: typeof DEFAULT_LIMITS;
  readonly #mainBlockName: string | undefined;
  readonly #reader = new FieldReader();
  readonly #steps: StreamSteps;
  #inRam = false;
  /** Where the RAM of the checkpoint under way must have ended. */
  #ramEndMax = Number.POSITIVE_INFINITY;

  constructor(sink: PageSink, events: CurlingEvents, options: CurlingDecoderOptions = {}) {
    const { mainBlockName, ...limits } = options;
    this.#sink = sink;
    this.#events = events;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#mainBlockName = mainBlockName;
    this.#steps = new StreamSteps(this.#reader, this.#stream(), () => this.#checkSize());
  }

  /** Whether the stream is among the pages of a checkpoint: not all of its RAM has come. */
  get inRam(): boolean {
    return this.#inRam;
  }

  /**
   * Decodes a chunk of any size; the bytes are not kept. Events and pages come from within this call.
   * @throws CurlingError CURLING_QEMU_STREAM for bytes that are not what they must be; from then on, every call does.
   */
  push(chunk: Buffer): void {
    this.#steps.push(chunk);
  }

  *#stream(): Steps<never> {
    const layout = yield* this.#head();
    this.#events.layout(layout);
    const pages = new RamPages(this.#sink, layout.blocks);
    const nextHead = bytesOf(END_SIGNATURE, header(), encodeRamStart(layout, false));
    const ramBytes = layout.blocks.reduce((sum, block) => sum + block.bytes, 0);
    for (;;) {
      this.#inRam = true;
      yield* this.#ram(layout, pages);
      this.#checkSize();
      this.#inRam = false;
      const end = new DeviceEnd(nextHead, this.#limits.deviceBytesMax);
      yield end;
      this.#ramEndMax = this.#reader.position + CHECKPOINT_RAM_SHARE * ramBytes;
      this.#events.checkpoint(end.device);
    }
  }

  /** The head of the first checkpoint; those that follow must be the same bytes. */
  *#head(): Steps<GuestLayout> {
    const reader = this.#reader;
    yield 8;
    this.#expect('"QEFT"', CHECKPOINT_MAGIC, reader.u32());
    this.#expect('version', CHECKPOINT_VERSION, reader.u32());
    yield 1;
    this.#expect('a section START', PART.sectionStart, reader.u8());
    const ram = yield* readRamStart(reader);
    const blocks = yield* readBlockList(reader, false, this.#limits);
    const mainBlock = mainBlockOf(blocks, this.#mainBlockName, reader);
    const subsections = Buffer.alloc(0);
    return { machine: '', subsections, oldForm: true, ram, blocks, mainBlock };
  }

  /** All sections of `ram` of one checkpoint, behind the list of blocks. */
  *#ram({ ram }: GuestLayout, pages: RamPages): Steps<void> {
    const reader = this.#reader;
    yield pages;
    for (let part: number = PART.sectionStart; part !== PART.sectionEnd; ) {
      yield 5;
      part = reader.u8();
      if (part !== PART.sectionPart && part !== PART.sectionEnd)
        throw streamError('a section PART or END', hex(part), reader.position);
      this.#expect("ram's section id", ram.sectionId, reader.u32());
      yield pages;
    }
  }

  #checkSize(): void {
    const { position } = this.#reader;
    if (!this.#inRam || position <= this.#ramEndMax) return;
    const expected = `at most ${CHECKPOINT_RAM_SHARE} times the guest's RAM in a checkpoint`;
    throw streamError(expected, 'more than that', position);
  }

  #expect(what: string, expected: number, got: number): void {
    if (got === expected) return;
    throw streamError(`${what} (${hex(expected)})`, hex(got), this.#reader.position);
  }
}

function header(): Buffer {
  return bytesOf(u32(CHECKPOINT_MAGIC), u32(CHECKPOINT_VERSION));
}
