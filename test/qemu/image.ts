/** The guest's RAM as the staged chunks describe it: what a backup would hold. */
import { type GuestLayout, PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { ENTRY_BYTES, PAGE_KIND, type PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';

export function emptyImage(layout: GuestLayout): Buffer[] {
  return layout.blocks.map(block => Buffer.alloc(block.bytes));
}

export function applyChunk(image: readonly Buffer[], chunk: PageChunk): void {
  let data = 0;
  for (let at = 0; at < chunk.count * ENTRY_BYTES; at += ENTRY_BYTES) {
    const block = image[chunk.entries.readUInt16BE(at)]!;
    const offset = chunk.entries.readUInt32BE(at + 4) * PAGE_BYTES;
    if (chunk.entries[at + 2] === PAGE_KIND.data) {
      chunk.data.copy(block, offset, data, data + PAGE_BYTES);
      data += PAGE_BYTES;
    } else {
      block.fill(chunk.entries[at + 3]!, offset, offset + PAGE_BYTES);
    }
  }
}
