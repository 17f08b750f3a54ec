/**
 * Writes the stream with which a standby QEMU becomes the guest. Pure. Main memory is not in it: the standby has it
 * mapped already (x-ignore-shared), so the stream holds little more than the device state.
 *
 *   "QEVM", 3; configuration: machine, configuration/capabilities = x-ignore-shared, the other subsections
 *   section START ram: u64 total | MEM_SIZE, for each block name, u64 length, u64 guest address 0; end; footer
 *   section END ram: pages of the small blocks; end; footer
 *   device state as the last checkpoint had it
 *   u8 0x06, u32 2, "{}"       keeps QEMU from complaining about a missing description
 *
 * In the old form, for machine types before 2.4, there is neither configuration nor footer nor description: a QEMU with
 * such a machine would take their bytes for something else. It needs no configuration to accept x-ignore-shared, for it
 * compares capabilities only when they are sent.
 *
 * The layout is drawn in stream-decoder.ts, which reads what is written here.
 */
import assert from 'node:assert/strict';
import { type GuestLayout, PAGE_BYTES } from '../checkpoint/layout.ts';
import { bytesOf, u32, u64 } from './bytes.ts';
import { encodeName, encodeRamStart } from './ram-section.ts';
import {
  CAPABILITIES_SUBSECTION,
  FILE_MAGIC,
  FILE_VERSION,
  IGNORE_SHARED,
  PART,
  RAM_FLAG,
} from './stream-format.ts';

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);
const DESCRIPTION = '{}';

/** What a resume is made of. */
export interface ResumeState {
  layout: GuestLayout;
  /** The whole content of each block by its index; that of the main block is not looked at. */
  blocks: readonly (Buffer | undefined)[];
  /** Device state of the committed checkpoint: FULL sections and a final 0x00. */
  device: Buffer;
}

/** The stream in pieces to be written one after the other. `device` is not copied, pages are. */
export function encodeResume(state: ResumeState): Buffer[] {
  const { layout, device } = state;
  const { sectionId } = layout.ram;
  const description = bytesOf(PART.description, u32(DESCRIPTION.length), DESCRIPTION);
  return [
    bytesOf(
      u32(FILE_MAGIC),
      u32(FILE_VERSION),
      layout.oldForm ? '' : configuration(layout),
      encodeRamStart(layout, true),
      sectionEnd(layout),
      PART.sectionEnd,
      u32(sectionId),
    ),
    ...layout.blocks.map((_, index) => blockPages(state, index)),
    sectionEnd(layout),
    device,
    ...(layout.oldForm ? [] : [description]),
  ];
}

function configuration(layout: GuestLayout): Buffer {
  return bytesOf(
    PART.configuration,
    u32(layout.machine.length),
    layout.machine,
    PART.subsection,
    encodeName(CAPABILITIES_SUBSECTION),
    u32(1),
    u32(1),
    encodeName(IGNORE_SHARED),
    layout.subsections,
  );
}

function sectionEnd({ ram, oldForm }: GuestLayout): Buffer {
  const footer = oldForm ? '' : bytesOf(PART.footer, u32(ram.sectionId));
  return bytesOf(u64(RAM_FLAG.endOfSection), footer);
}

/**
 * All pages of one small block, CONTINUE after the first. Zero pages are sent as such: a standby has its own content in
 * ROMs and flash. That costs QEMU about 1 ms for 16 MiB of video memory.
 */
function blockPages({ layout, blocks }: ResumeState, index: number): Buffer {
  const block = layout.blocks[index]!;
  const content = blocks[index];
  if (index === layout.mainBlock) return Buffer.alloc(0);
  assert(
    content?.length === block.bytes,
    `the content of ${block.name} is not of the block's size`,
  );
  const pages: number[] = [];
  let dataPages = 0;
  for (let at = 0; at < block.bytes; at += PAGE_BYTES) {
    const zero = isZero(content, at);
    pages.push(at + (zero ? RAM_FLAG.zero : RAM_FLAG.page));
    if (!zero) dataPages++;
  }
  const fillPages = pages.length - dataPages;
  const blockName = encodeName(block.name);
  const headBytes = 8 * pages.length + blockName.length;
  const bytes = Buffer.allocUnsafe(headBytes + dataPages * PAGE_BYTES + fillPages);
  let end = 0;
  for (const header of pages) {
    const first = end === 0;
    end = bytes.writeBigUInt64BE(BigInt(header + (first ? 0 : RAM_FLAG.continue)), end);
    if (first) end += blockName.copy(bytes, end);
    const at = header - (header % PAGE_BYTES);
    if (header % PAGE_BYTES === RAM_FLAG.zero) end = bytes.writeUInt8(0, end);
    else end += content.copy(bytes, end, at, at + PAGE_BYTES);
  }
  assert.equal(end, bytes.length);
  return bytes;
}

function isZero(content: Buffer, at: number): boolean {
  return content.compare(ZERO_PAGE, 0, PAGE_BYTES, at, at + PAGE_BYTES) === 0;
}
