/**
 * How parts of a stream, and the `ram` section among them, begin: read and written, the same bytes both ways.
 *
 *   u32 section id, name (u8 length, bytes), u32 instance, u32 version      after the byte of a section START
 *   the list of RAM blocks (block-list.ts)
 */
import assert from 'node:assert/strict';
import type { GuestLayout, RamBlock, RamSection } from '../checkpoint/layout.ts';
import { bytesOf, u32, u64 } from './bytes.ts';
import { type Fields, readName } from './configuration.ts';
import type { FieldReader } from './field-reader.ts';
import { hex, PART, RAM_FLAG, RAM_SECTION_NAME, streamError } from './stream-format.ts';

/** The only version of the `ram` section since QEMU 0.14. */
const RAM_SECTION_VERSION = 4;

/** @throws CurlingError CURLING_QEMU_STREAM for any other section than `ram`. */
export function* readRamStart(reader: FieldReader): Fields<RamSection> {
  yield 4;
  const sectionId = reader.u32();
  const section = yield* readName(reader);
  // Other iterable sections (block migration, dirty bitmaps, VFIO) cannot be taken apart without knowing them.
  if (section !== RAM_SECTION_NAME)
    throw streamError('the section ram', JSON.stringify(section), reader.position);
  yield 8;
  const instanceId = reader.u32();
  const version = reader.u32();
  if (version !== RAM_SECTION_VERSION) {
    const expected = `ram's version (${hex(RAM_SECTION_VERSION)})`;
    throw streamError(expected, hex(version), reader.position);
  }
  return { sectionId, instanceId, version };
}

/** Section START of `ram` up to the end of its list of blocks; with guest addresses of 0 under x-ignore-shared. */
export function encodeRamStart(
  { ram, blocks }: Pick<GuestLayout, 'ram' | 'blocks'>,
  guestAddresses: boolean,
): Buffer {
  const totalBytes = blocks.reduce((sum, block) => sum + block.bytes, 0);
  const address = guestAddresses ? u64(0) : '';
  return bytesOf(
    PART.sectionStart,
    u32(ram.sectionId),
    encodeName(RAM_SECTION_NAME),
    u32(ram.instanceId),
    u32(ram.version),
    u64(totalBytes + RAM_FLAG.memSize),
    ...blocks.map(block => bytesOf(encodeName(block.name), u64(block.bytes), address)),
  );
}

/** A name with its length in front. */
export function encodeName(text: string): Buffer {
  assert(text.length > 0 && text.length <= 255, 'a name has 1 to 255 characters');
  return bytesOf(text.length, text);
}

/**
 * The index of the block that is the guest's main memory: the named one, or the largest.
 * @throws CurlingError CURLING_QEMU_STREAM when there is none of that name
 */
export function mainBlockOf(
  blocks: readonly RamBlock[],
  name: string | undefined,
  reader: FieldReader,
): number {
  const index = name === undefined ? largest(blocks) : blocks.findIndex(b => b.name === name);
  if (index >= 0) return index;
  const names = blocks.map(block => block.name).join(', ');
  throw streamError(`a RAM block ${name}`, names, reader.position);
}

function largest(blocks: readonly RamBlock[]): number {
  return blocks.reduce((best, block, i) => (block.bytes > blocks[best]!.bytes ? i : best), 0);
}

/** The first byte of the next part; commands before it are passed over. */
export function* nextPart(reader: FieldReader): Fields<number> {
  for (;;) {
    yield 1;
    const part = reader.u8();
    if (part !== PART.command) return part;
    yield 4;
    reader.u16();
    for (let left = reader.u16(); left > 0; left--) yield 1;
  }
}
