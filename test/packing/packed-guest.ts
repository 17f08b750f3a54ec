/**
 * A naive guest whose checkpoints are packed: plain buffers, the messages of a primary, and a backup's memory that is
 * made of nothing but them.
 */
import { type GuestLayout, PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { layoutToJson } from '../../coordinator/checkpoint/layout-json.ts';
import { ENTRY_BYTES, PAGE_KIND, PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import type { PackLevel } from '../../coordinator/packing/choice.ts';
import { packDevice } from '../../coordinator/packing/device-state.ts';
import { type Lz4, lz4 } from '../../coordinator/packing/lz4.ts';
import { Packer } from '../../coordinator/packing/packer.ts';
import { type Frame, FrameDecoder } from '../../coordinator/replication/decode.ts';
import {
  commitPayload,
  devicePayload,
  encodeFrame,
  jsonPayload,
  pagesPayload,
} from '../../coordinator/replication/encode.ts';
import type { PagesRecord } from '../../coordinator/replication/parse.ts';
import { CheckpointSummary } from '../../coordinator/replication/summary.ts';
import { MESSAGE, type MessageType } from '../../coordinator/replication/types.ts';
import { type GuestState, IDENTITY, LAYOUT, Random } from '../store/model.ts';

/** What happens to a page in one checkpoint. */
export type Change = 'new' | 'few' | 'nothing' | 'fill';
export interface Dirty {
  block: number;
  page: number;
  change: Change;
}

export const CHANGES: readonly Change[] = ['new', 'few', 'nothing', 'fill'];
/** The addon must be there where the tests run; that it may be missing is tested apart. */
export const LZ4: Lz4 = lz4!;

export function pagesOf(layout: GuestLayout): number[] {
  return layout.blocks.map(({ bytes }) => Math.ceil(bytes / PAGE_BYTES));
}

export class PackedGuest {
  readonly state: GuestState = {
    blocks: pagesOf(LAYOUT).map(pages => Buffer.alloc(pages * PAGE_BYTES)),
    device: Buffer.from('device'),
  };
  packer: Packer;
  readonly #random: Random;

  constructor(seed: number, cacheBytesMax?: number) {
    this.#random = new Random(seed);
    this.packer = new Packer(LZ4, LAYOUT, cacheBytesMax);
  }

  copy(): GuestState {
    const { blocks, device } = this.state;
    return { blocks: blocks.map(block => Buffer.from(block)), device: Buffer.from(device) };
  }

  /** Some pages and changes, drawn. A page may come twice. */
  draw(count: number): Dirty[] {
    return Array.from({ length: count }, () => {
      const block = this.#random.below(LAYOUT.blocks.length);
      const page = this.#random.below(pagesOf(LAYOUT)[block]!);
      return { block, page, change: CHANGES[this.#random.below(CHANGES.length)]! };
    });
  }

  /** Changes the pages and returns them as they are staged, in a chunk. */
  chunk(dirty: readonly Dirty[]): PageChunk {
    const chunk = new PageChunk(Math.max(1, dirty.length));
    for (const { block, page, change } of dirty) {
      const memory = this.page(block, page);
      this.#change(memory, change);
      // QEMU itself finds pages of zeros; the others of one byte come with their content.
      if (memory.every(byte => byte === 0)) chunk.addFill(block, page, 0);
      else memory.copy(chunk.data, chunk.addData(block, page));
    }
    return chunk;
  }

  page(block: number, page: number): Buffer {
    return this.state.blocks[block]!.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
  }

  /** The messages of a checkpoint, as a backup decodes them. */
  checkpoint(epoch: number, chunks: readonly Dirty[][], level: PackLevel, full = false): Frame[] {
    const summary = new CheckpointSummary();
    const frames: Frame[] = [];
    const add = (type: MessageType, payload: Buffer[], pages = 0) => {
      const frame = encodeFrame(type, { ...IDENTITY, epoch }, payload);
      frames.push(decoded(frame.buffers));
      if (type !== MESSAGE.commit) summary.add(frame.digest, frame.payloadBytes, pages);
    };
    if (full) add(MESSAGE.fullBegin, jsonPayload(layoutToJson(LAYOUT)));
    else {
      this.packer.next();
      add(MESSAGE.checkpointBegin, []);
    }
    for (const dirty of chunks) {
      const chunk = this.chunk(dirty);
      if (level === 'plain') {
        this.packer.passed(chunk);
        add(MESSAGE.pages, pagesPayload(chunk), chunk.count);
      } else add(MESSAGE.packed, this.packer.pack(chunk, level), chunk.count);
    }
    const before = full ? undefined : this.state.device;
    const device = Buffer.alloc(90 + this.#random.below(20), 7);
    device[this.#random.below(90)] = epoch & 0xff;
    this.state.device = device;
    if (level === 'plain') add(MESSAGE.device, devicePayload(device, 0, device.length));
    else add(MESSAGE.devicePacked, packDevice(LZ4, device, before));
    add(MESSAGE.commit, commitPayload(summary.record()));
    return frames;
  }

  #change(memory: Buffer, change: Change): void {
    const random = this.#random;
    if (change === 'fill') memory.fill(random.below(3) * 77);
    else if (change === 'new')
      for (let at = 0; at < PAGE_BYTES; at += 4) memory.writeUInt32LE(random.below(2 ** 32), at);
    else if (change === 'few')
      for (let n = random.below(5); n >= 0; n--)
        memory[random.below(PAGE_BYTES)]! ^= 1 + random.below(255);
  }
}

export function decoded(buffers: readonly Buffer[]): Frame {
  const decoder = new FrameDecoder();
  decoder.push(Buffer.concat(buffers));
  return decoder.next()!;
}

/** Writes the pages of a record, as the shadow does, in the plainest way. */
export function write(blocks: readonly Buffer[], { entries, data }: PagesRecord): void {
  const content = data.flat();
  let from = 0;
  for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
    const block = blocks[entries.readUInt16BE(at)]!;
    const offset = entries.readUInt32BE(at + 4) * PAGE_BYTES;
    if (entries[at + 2] === PAGE_KIND.fill)
      block.fill(entries[at + 3]!, offset, offset + PAGE_BYTES);
    else {
      content.copy(block, offset, from, from + PAGE_BYTES);
      from += PAGE_BYTES;
    }
  }
}
