/**
 * A naive guest for the store's tests: plain buffers, and checkpoints of it as messages of the
 * wire.
 */

import type { GuestLayout } from '../../coordinator/checkpoint/layout.ts';
import { layoutToJson } from '../../coordinator/checkpoint/layout-json.ts';
import { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { type Frame, FrameDecoder } from '../../coordinator/replication/decode.ts';
import {
  commitPayload,
  devicePayload,
  encodeFrame,
  jsonPayload,
  pagesPayload,
  vmIdOf,
} from '../../coordinator/replication/encode.ts';
import { CheckpointSummary } from '../../coordinator/replication/summary.ts';
import { MESSAGE, type MessageType } from '../../coordinator/replication/types.ts';

export const PAGES = [40, 6, 1];
export const LAYOUT: GuestLayout = {
  machine: 'pc-i440fx-7.2',
  subsections: Buffer.from([1, 2]),
  ram: { sectionId: 2, instanceId: 0, version: 4 },
  // The last block's used length is not whole pages.
  blocks: [
    { name: 'vga.vram', bytes: PAGES[1]! * 4096 },
    { name: '/obj/pc.ram', bytes: PAGES[0]! * 4096 },
    { name: 'rom', bytes: 1000 },
  ],
  mainBlock: 1,
};
const BLOCK_PAGES = [PAGES[1]!, PAGES[0]!, PAGES[2]!];

/** xorshift32: the same numbers for the same seed, in this process and in a child. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
}

export interface GuestState {
  blocks: Buffer[];
  device: Buffer;
}

export class ModelGuest {
  readonly #random: Random;
  readonly #generation: number;
  readonly state: GuestState = {
    blocks: BLOCK_PAGES.map(pages => Buffer.alloc(pages * 4096)),
    device: Buffer.alloc(0),
  };

  constructor(seed: number, generation = 1) {
    this.#random = new Random(seed);
    this.#generation = generation;
  }

  /** A copy of the guest as of the last checkpoint made. */
  copy(): GuestState {
    const { blocks, device } = this.state;
    return { blocks: blocks.map(block => Buffer.from(block)), device: Buffer.from(device) };
  }

  /**
   * Dirties some pages and returns the messages of the checkpoint, as a backup would decode them.
   */
  checkpoint(epoch: number, full = false): Frame[] {
    const summary = new CheckpointSummary();
    const frames: Frame[] = [];
    const add = (type: MessageType, payload: Buffer[], pages = 0) => {
      const address = { ...IDENTITY, generation: this.#generation, epoch };
      const frame = encodeFrame(type, address, payload);
      frames.push(...reframe(frame.buffers, 1 + this.#random.below(9000)));
      if (type !== MESSAGE.commit) summary.add(frame.digest, frame.payloadBytes, pages);
    };
    if (full) add(MESSAGE.fullBegin, jsonPayload(layoutToJson(LAYOUT)));
    else add(MESSAGE.checkpointBegin, []);
    const chunks = 1 + this.#random.below(3);
    for (let index = 0; index < chunks; index++) {
      const chunk = this.#dirty();
      add(MESSAGE.pages, pagesPayload(chunk), chunk.count);
    }
    this.state.device = Buffer.alloc(1 + this.#random.below(5000), epoch & 0xff);
    const { device } = this.state;
    const half = device.length >> 1;
    if (half > 0) add(MESSAGE.device, devicePayload(device.subarray(0, half), 0, device.length));
    add(MESSAGE.device, devicePayload(device.subarray(half), half, device.length));
    add(MESSAGE.commit, commitPayload(summary.record()));
    return frames;
  }

  #dirty(): PageChunk {
    const chunk = new PageChunk(64);
    const runs = 1 + this.#random.below(6);
    for (let run = 0; run < runs; run++) {
      const block = this.#random.below(4) === 0 ? this.#random.below(3) : 1;
      const pages = BLOCK_PAGES[block]!;
      const first = this.#random.below(pages);
      const length = Math.min(1 + this.#random.below(8), pages - first);
      const kind = this.#random.below(3);
      for (let page = first; page < first + length; page++) this.#write(chunk, block, page, kind);
    }
    return chunk;
  }

  #write(chunk: PageChunk, block: number, page: number, kind: number): void {
    const memory = this.state.blocks[block]!.subarray(page * 4096, page * 4096 + 4096);
    if (kind > 0) {
      const fill = kind === 1 ? 0 : this.#random.below(256);
      memory.fill(fill);
      chunk.addFill(block, page, fill);
      return;
    }
    for (let at = 0; at < 4096; at += 4) memory.writeUInt32BE(this.#random.below(2 ** 32), at);
    memory.copy(chunk.data, chunk.addData(block, page));
  }
}

export const IDENTITY = {
  generation: 1,
  vmId: vmIdOf('vm1'),
  sender: 'a1'.repeat(16),
  receiver: 'b2'.repeat(16),
};

function reframe(buffers: readonly Buffer[], pieceBytes: number): Frame[] {
  const bytes = Buffer.concat(buffers);
  const decoder = new FrameDecoder();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    decoder.push(bytes.subarray(at, at + pieceBytes));
  }
  return [decoder.next()!];
}
