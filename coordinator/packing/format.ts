/**
 * The payload of PACKED: the pages of one chunk in fewer bytes than in PAGES, big-endian.
 *
 *    0  u32 entries
 *    4  u32 pages            all that the entries speak of
 *    8  u32 body bytes       unpacked
 *   12  u8  method           a value of PACK_METHOD, then 3 bytes of zero
 *   16  u64 digest           xxh64 over the xxh64 (8 bytes each, in order) of every page but the filled ones
 *   24  body, packed as `method` says
 *
 * The body is the entries, and then what belongs to each entry, in the entries' order:
 *
 *   entry  u16 block, u8 kind, u8 fill byte, u32 first page, u32 pages      (12 bytes: a run of pages that are alike)
 *   data   4096 bytes for each page
 *   fill   nothing: every byte of the pages is the fill byte
 *   same   nothing: the pages are as in the checkpoint before
 *   delta  for each page a u64 mask of its 64 lines of 64 bytes, the first line in the lowest bit, then for each line
 *          in the mask 64 bytes: the line XOR what it was in the checkpoint before
 *
 * `same` and `delta` mean the state at the end of the checkpoint before, never what came earlier in the same one; so a
 * page that comes twice in one checkpoint is whole from the second time on, and a full copy has neither kind.
 */
import { CHUNK_PAGES } from '../checkpoint/page-chunk.ts';

/** The form that this program packs and unpacks; WELCOME names it. */
export const PACKING_FORM = 1;

export const PACKED_PREFIX_BYTES = 24;
export const DEVICE_PACKED_PREFIX_BYTES = 16;
export const PACKED_ENTRY_BYTES = 12;

export const PACK_METHOD = {
  /** As it is. */
  stored: 0,
  /** An LZ4 block behind its unpacked size, u32 little-endian, which must be the body's. */
  lz4: 1,
} as const;

export const PACKED_KIND = { data: 1, fill: 2, same: 3, delta: 4 } as const;

/** Pages of one message at most, so that few bytes cannot make the backup look at all of its memory at once. */
export const PACKED_PAGES_MAX = 4096;
/** Of these, pages that take room when they are unpacked: `data` and `delta`. */
export const UNPACKED_PAGES_MAX = CHUNK_PAGES;

export const LINE_BYTES = 64;
export const MASK_BYTES = 8;
