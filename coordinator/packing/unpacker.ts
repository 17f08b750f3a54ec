/**
 * Back from the form of format.ts to whole pages. Nothing is believed: every length is bounded before memory is taken,
 * and the pages must have the digest that the primary has given them.
 */
import { CurlingError, messageOf } from '../../common/errors.ts';
import { PAGE_BYTES } from '../checkpoint/layout.ts';
import { ENTRY_BYTES, PAGE_KIND } from '../checkpoint/page-chunk.ts';
import { type Frame, frameError } from '../replication/decode.ts';
import type { PagesRecord } from '../replication/parse.ts';
import { Rope } from '../replication/rope.ts';
import {
  LINE_BYTES,
  MASK_BYTES,
  PACK_METHOD,
  PACKED_ENTRY_BYTES,
  PACKED_KIND,
  PACKED_PAGES_MAX,
  PACKED_PREFIX_BYTES,
  UNPACKED_PAGES_MAX,
} from './format.ts';
import { lz4 } from './lz4.ts';
import { PagesDigest, pageHash } from './page-hash.ts';

/** Copies a page as it was at the checkpoint before into `into`. */
export type ReadPage = (block: number, page: number, into: Buffer) => void;

/** What came in a PACKED message. */
export interface Unpacked {
  /** Pages that it spoke of. */
  pages: number;
  /** Those that have changed, whole; count may be 0. */
  record: PagesRecord;
}

interface Prefix {
  entries: number;
  pages: number;
  bodyBytes: number;
  method: number;
  digest: bigint;
}

interface Entry {
  block: number;
  kind: number;
  fill: number;
  page: number;
  pages: number;
}

/**
 * @param blockPages Pages of each block.
 * @param read Undefined in a full copy, where there is no checkpoint before.
 * @throws CurlingError CURLING_REPLICATION_FRAME for what the form does not allow, CURLING_REPLICATION_UNPACK when the
 *   pages are not those that were packed.
 */
export function unpack(
  frame: Frame,
  blockPages: readonly number[],
  read: ReadPage | undefined,
): Unpacked {
  const cursor = frame.payload.cursor();
  if (cursor.left < PACKED_PREFIX_BYTES) throw wrong(`${cursor.left} bytes`);
  const prefix = prefixOf(cursor.takeFlat(PACKED_PREFIX_BYTES));
  const body = unpackedBody(prefix, cursor.takeFlat(cursor.left));
  const entries = entriesOf(prefix, body, blockPages);
  const record = expand(entries, body.subarray(prefix.entries * PACKED_ENTRY_BYTES), read, {
    prefix,
    epoch: frame.epoch,
  });
  return { pages: prefix.pages, record };
}

function prefixOf(bytes: Buffer): Prefix {
  const prefix = {
    entries: bytes.readUInt32BE(0),
    pages: bytes.readUInt32BE(4),
    bodyBytes: bytes.readUInt32BE(8),
    method: bytes[12]!,
    digest: bytes.readBigUInt64BE(16),
  };
  const { entries, pages, bodyBytes, method } = prefix;
  if (
    bytes.readUIntBE(13, 3) !== 0 ||
    (method !== PACK_METHOD.stored && method !== PACK_METHOD.lz4)
  )
    throw wrong(`method ${method}, or what must be zero is not`);
  if (entries === 0 || entries > pages || pages > PACKED_PAGES_MAX)
    throw wrong(`${entries} entries for ${pages} pages`);
  const least = entries * PACKED_ENTRY_BYTES;
  const most = least + UNPACKED_PAGES_MAX * (PAGE_BYTES + MASK_BYTES);
  if (bodyBytes < least || bodyBytes > most)
    throw wrong(`a body of ${bodyBytes} bytes, expected ${least} to ${most}`);
  return prefix;
}

function unpackedBody({ method, bodyBytes }: Prefix, packed: Buffer): Buffer {
  if (method === PACK_METHOD.stored) {
    if (packed.length === bodyBytes) return packed;
    throw wrong(`${packed.length} bytes, expected ${bodyBytes}`);
  }
  if (packed.length < 4 || packed.readUInt32LE(0) !== bodyBytes)
    throw wrong(`an LZ4 block of another size than ${bodyBytes}`);
  if (!lz4) throw wrong('LZ4, which this host has not announced');
  let body: Buffer;
  try {
    body = lz4.uncompressSync(packed);
  } catch (error) {
    throw wrong(`no LZ4 block: ${messageOf(error)}`);
  }
  if (body.length === bodyBytes) return body;
  throw wrong(`an LZ4 block of ${body.length} bytes, expected ${bodyBytes}`);
}

/** The entries, all of which exist in the guest and add up to the pages of the prefix. */
function entriesOf(prefix: Prefix, body: Buffer, blockPages: readonly number[]): Entry[] {
  const list: Entry[] = [];
  let pages = 0;
  let unpacked = 0;
  for (let at = 0; at < prefix.entries * PACKED_ENTRY_BYTES; at += PACKED_ENTRY_BYTES) {
    const entry = {
      block: body.readUInt16BE(at),
      kind: body[at + 2]!,
      fill: body[at + 3]!,
      page: body.readUInt32BE(at + 4),
      pages: body.readUInt32BE(at + 8),
    };
    const { block, kind, fill } = entry;
    const end = blockPages[block];
    if (end === undefined || entry.pages === 0 || entry.page + entry.pages > end)
      throw wrong(`the guest has no ${entry.pages} pages from ${entry.page} in block ${block}`);
    if (kind < PACKED_KIND.data || kind > PACKED_KIND.delta || (kind !== PACKED_KIND.fill && fill))
      throw wrong(`page ${entry.page} of kind ${kind}, fill ${fill}`);
    pages += entry.pages;
    if (kind === PACKED_KIND.data || kind === PACKED_KIND.delta) unpacked += entry.pages;
    list.push(entry);
  }
  if (pages !== prefix.pages) throw wrong(`${prefix.pages} pages, and entries for ${pages}`);
  if (unpacked > UNPACKED_PAGES_MAX) throw wrong(`${unpacked} pages with content`);
  return list;
}

function expand(
  list: readonly Entry[],
  content: Buffer,
  read: ReadPage | undefined,
  { prefix, epoch }: { prefix: Prefix; epoch: number },
): PagesRecord {
  const changed = list.filter(({ kind }) => kind !== PACKED_KIND.same);
  const count = sumOf(changed);
  const dataPages = sumOf(changed.filter(({ kind }) => kind !== PACKED_KIND.fill));
  const entries = Buffer.allocUnsafe(count * ENTRY_BYTES);
  const data = Buffer.allocUnsafeSlow(dataPages * PAGE_BYTES);
  const source = new ContentReader(content);
  const digest = new PagesDigest();
  const before = Buffer.allocUnsafeSlow(PAGE_BYTES);
  let entryAt = 0;
  let dataAt = 0;
  for (const { block, kind, fill, page: first, pages } of list) {
    if (!read && (kind === PACKED_KIND.same || kind === PACKED_KIND.delta))
      throw wrong('a full copy that refers to an earlier one');
    for (let page = first; page < first + pages; page++) {
      if (kind === PACKED_KIND.same) {
        read!(block, page, before);
        digest.add(pageHash(before));
        continue;
      }
      if (kind === PACKED_KIND.fill) {
        entryAt = putEntry(entries, entryAt, block, PAGE_KIND.fill, fill, page);
        continue;
      }
      const target = data.subarray(dataAt, dataAt + PAGE_BYTES);
      dataAt += PAGE_BYTES;
      if (kind === PACKED_KIND.data) source.page(target);
      else {
        read!(block, page, target);
        source.delta(target);
      }
      digest.add(pageHash(target));
      entryAt = putEntry(entries, entryAt, block, PAGE_KIND.data, 0, page);
    }
  }
  if (source.left > 0) throw wrong(`${source.left} bytes that belong to no page`);
  if (digest.take() !== prefix.digest) {
    const text = `epoch ${epoch}: the unpacked pages are not those that the primary has packed`;
    throw new CurlingError('CURLING_REPLICATION_UNPACK', text);
  }
  return { count, dataPages, entries, data: Rope.of(data), release: () => {} };
}

function sumOf(list: readonly Entry[]): number {
  return list.reduce((sum, { pages }) => sum + pages, 0);
}

function putEntry(
  entries: Buffer,
  at: number,
  block: number,
  kind: number,
  fill: number,
  page: number,
): number {
  entries.writeUInt16BE(block, at);
  entries[at + 2] = kind;
  entries[at + 3] = fill;
  entries.writeUInt32BE(page, at + 4);
  return at + ENTRY_BYTES;
}

/** What follows the entries, front to back. */
class ContentReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  page(target: Buffer): void {
    this.#need(PAGE_BYTES);
    this.#bytes.copy(target, 0, this.#at, this.#at + PAGE_BYTES);
    this.#at += PAGE_BYTES;
  }

  /** Changes the lines of `target` that the next mask names. */
  delta(target: Buffer): void {
    this.#need(MASK_BYTES);
    const high = this.#bytes.readUInt32BE(this.#at);
    const low = this.#bytes.readUInt32BE(this.#at + 4);
    this.#at += MASK_BYTES;
    this.#lines(target, low, 0);
    this.#lines(target, high, 32 * LINE_BYTES);
  }

  #lines(target: Buffer, mask: number, offset: number): void {
    for (let bits = mask; bits !== 0; bits &= bits - 1) {
      this.#need(LINE_BYTES);
      const line = offset + LINE_BYTES * (31 - Math.clz32(bits & -bits));
      for (let byte = 0; byte < LINE_BYTES; byte++) {
        target[line + byte]! ^= this.#bytes[this.#at + byte]!;
      }
      this.#at += LINE_BYTES;
    }
  }

  #need(bytes: number): void {
    if (this.left < bytes) throw wrong('fewer bytes than its entries need');
  }
}

function wrong(text: string): CurlingError {
  return frameError(`packed pages: ${text}`);
}
