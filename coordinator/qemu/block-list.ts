/**
 * The list of RAM blocks with which the `ram` section begins.
 *
 *   u64 total bytes | MEM_SIZE       then, until the total is reached:
 *   name (u8 length, bytes), u64 used length, and u64 guest address under x-ignore-shared
 */
import { PAGE_BYTES, type RamBlock } from '../checkpoint/layout.ts';
import { type Fields, readName } from './configuration.ts';
import type { FieldReader } from './field-reader.ts';
import { hex, RAM_FLAG, streamError } from './stream-format.ts';

/** Page numbers are u32 in a PageChunk. */
const BLOCK_BYTES_MAX = 2 ** 32 * PAGE_BYTES;

export interface BlockListLimits {
  blocksMax: number;
  /** Bytes of all blocks together. */
  ramBytesMax: number;
}

/** @throws CurlingError CURLING_QEMU_STREAM */
export function* readBlockList(
  reader: FieldReader,
  guestAddresses: boolean,
  limits: BlockListLimits,
): Fields<RamBlock[]> {
  yield 8;
  const header = reader.u64();
  const flags = header % PAGE_BYTES;
  const totalBytes = header - flags;
  if (flags !== RAM_FLAG.memSize)
    throw streamError('the list of RAM blocks', `flags ${hex(flags)}`, reader.position);
  if (totalBytes > limits.ramBytesMax) {
    const expected = `at most ${limits.ramBytesMax} bytes of RAM`;
    throw streamError(expected, `${totalBytes}`, reader.position);
  }
  const blocks: RamBlock[] = [];
  let leftBytes = totalBytes;
  while (leftBytes > 0) {
    const block = yield* readBlock(reader, guestAddresses);
    const misfit = misfitOf(block, blocks, leftBytes, limits);
    if (misfit) {
      const expected = `at most ${limits.blocksMax} RAM blocks of whole pages, ${totalBytes} bytes together`;
      throw streamError(expected, `${block.name}: ${misfit}`, reader.position);
    }
    blocks.push(block);
    leftBytes -= block.bytes;
  }
  if (blocks.length === 0) throw streamError('a RAM block', 'an empty list', reader.position);
  return blocks;
}

function* readBlock(reader: FieldReader, guestAddress: boolean): Fields<RamBlock> {
  const name = yield* readName(reader);
  yield guestAddress ? 16 : 8;
  return { name, bytes: reader.u64() };
}

function misfitOf(
  block: RamBlock,
  before: readonly RamBlock[],
  leftBytes: number,
  limits: BlockListLimits,
): string | undefined {
  if (before.length === limits.blocksMax) return 'one block too many';
  if (before.some(other => other.name === block.name)) return 'listed twice';
  if (block.bytes === 0 || block.bytes % PAGE_BYTES !== 0) return `${block.bytes} bytes`;
  if (block.bytes > leftBytes) return `${block.bytes} bytes where ${leftBytes} are left`;
  if (block.bytes > BLOCK_BYTES_MAX) return `${block.bytes} bytes, above ${BLOCK_BYTES_MAX}`;
  return undefined;
}
