/**
 * What a QEMU would send in COLO, made up: a guest with one RAM block whose checkpoints hold pages of content. The
 * layout is drawn in coordinator/qemu/stream-decoder.ts. Pure.
 */
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import {
  COLO,
  FILE_MAGIC,
  FILE_VERSION,
  PART,
  RAM_FLAG,
} from '../../coordinator/qemu/stream-format.ts';

const BLOCK = 'pc.ram';
const SECTION_ID = 2;
/** About what a pc has. */
const DEVICE_BYTES = 64 << 10;

/** Everything up to the first checkpoint; the first pass is empty. */
export function streamHead(pages: number): Buffer {
  const machine = Buffer.from('pc-bench');
  const description = Buffer.from('{}');
  return Buffer.concat([
    ...[u32(FILE_MAGIC), u32(FILE_VERSION)],
    ...[u8(PART.configuration), u32(machine.length), machine],
    ...[u8(PART.sectionStart), u32(SECTION_ID), name('ram'), u32(0), u32(4)],
    ...[u64(pages * PAGE_BYTES + RAM_FLAG.memSize), name(BLOCK), u64(pages * PAGE_BYTES)],
    ...[u64(RAM_FLAG.endOfSection), footer()],
    ...[u8(PART.sectionEnd), u32(SECTION_ID), u64(RAM_FLAG.endOfSection), footer()],
    Buffer.from([PART.sectionFull, 0, 0]),
    ...[u8(PART.description), u32(description.length), description],
  ]);
}

/** A checkpoint of the first `pages` pages, with content that `fill` puts into each. */
export function streamCheckpoint(
  pages: number,
  fill: (page: Buffer, number: number) => void,
): Buffer {
  const records: Buffer[] = [];
  for (let number = 0; number < pages; number++) {
    const page = Buffer.alloc(PAGE_BYTES);
    fill(page, number);
    const first = number === 0;
    const flags = RAM_FLAG.page + (first ? 0 : RAM_FLAG.continue);
    records.push(u64(number * PAGE_BYTES + flags), ...(first ? [name(BLOCK)] : []), page);
  }
  return Buffer.concat([
    ...[u32(COLO.request), u32(COLO.send)],
    ...[u8(PART.sectionEnd), u32(SECTION_ID), ...records, u64(RAM_FLAG.endOfSection), footer()],
    u8(PART.end),
    ...[u32(COLO.size), u64(DEVICE_BYTES), Buffer.alloc(DEVICE_BYTES, PART.sectionFull)],
  ]);
}

function footer(): Buffer {
  return Buffer.concat([u8(PART.footer), u32(SECTION_ID)]);
}

function name(text: string): Buffer {
  return Buffer.concat([u8(text.length), Buffer.from(text)]);
}

function u8(value: number): Buffer {
  return Buffer.from([value]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
