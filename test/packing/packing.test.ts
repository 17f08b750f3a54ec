import test from 'ava';
import fc from 'fast-check';
import { CurlingError } from '../../common/errors.ts';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import {
  PACKED_ENTRY_BYTES,
  PACKED_KIND,
  PACKED_PAGES_MAX,
  PACKED_PREFIX_BYTES,
} from '../../coordinator/packing/format.ts';
import { Packer } from '../../coordinator/packing/packer.ts';
import { type ReadPage, unpack } from '../../coordinator/packing/unpacker.ts';
import { encodeFrame } from '../../coordinator/replication/encode.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { IDENTITY, LAYOUT } from '../store/model.ts';
import { CHANGES, type Dirty, decoded, LZ4, PackedGuest, pagesOf, write } from './packed-guest.ts';

const PAGES = pagesOf(LAYOUT);

const dirtyArbitrary: fc.Arbitrary<Dirty> = fc
  .tuple(
    fc.integer({ min: 0, max: LAYOUT.blocks.length - 1 }),
    fc.nat(5),
    fc.constantFrom(...CHANGES),
  )
  // Few pages, so that the same ones come again.
  .map(([block, page, change]) => ({ block, page: page % PAGES[block]!, change }));
const checkpointArbitrary = fc.record({
  level: fc.constantFrom('plain' as const, 'filter' as const, 'pack' as const),
  chunks: fc.array(fc.array(dirtyArbitrary, { minLength: 1, maxLength: 12 }), { maxLength: 3 }),
});

test('whatever is packed, in any mixture of efforts, unpacks to the guest', t => {
  fc.assert(
    fc.property(
      fc.array(checkpointArbitrary, { minLength: 1, maxLength: 8 }),
      fc.constantFrom(undefined, 1, 3 * PAGE_BYTES),
      fc.nat(),
      (checkpoints, cacheBytesMax, seed) => {
        const guest = new PackedGuest(seed, cacheBytesMax);
        const backup = guest.copy().blocks;
        for (const [index, { level, chunks }] of checkpoints.entries()) {
          const before = backup.map(block => Buffer.from(block));
          const read: ReadPage = (block, page, into) =>
            before[block]!.copy(into, 0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
          for (const frame of guest.checkpoint(index + 1, chunks, level)) {
            if (frame.type === MESSAGE.packed) write(backup, unpack(frame, PAGES, read).record);
            if (frame.type === MESSAGE.pages) write(backup, parsed(frame.payload.flat()));
          }
          for (const [at, block] of backup.entries()) t.true(block.equals(guest.state.blocks[at]!));
        }
      },
    ),
    { numRuns: 150 },
  );
});

/** PAGES by hand: the plain form is tested elsewhere. */
function parsed(payload: Buffer) {
  const count = payload.readUInt32BE(0);
  const entries = payload.subarray(8, 8 + count * 8);
  const content = payload.subarray(8 + count * 8);
  const data = { flat: () => content } as never;
  return { count, dataPages: content.length / PAGE_BYTES, entries, data, release: () => {} };
}

/** The entries of a payload: kind, fill, first page and pages of each. */
function runsOf(payload: readonly Buffer[]): number[][] {
  const prefix = payload[0]!;
  const body = prefix[12] === 1 ? LZ4.uncompressSync(payload[1]!) : payload[1]!;
  return Array.from({ length: prefix.readUInt32BE(0) }, (_, index) => {
    const at = index * PACKED_ENTRY_BYTES;
    return [body[at + 2]!, body[at + 3]!, body.readUInt32BE(at + 4), body.readUInt32BE(at + 8)];
  });
}

const bytesOf = (payload: readonly Buffer[]) =>
  payload.reduce((sum, { length }) => sum + length, 0);

test('pages of one byte throughout, zero or not, are one record for each run of them', t => {
  const packer = new Packer(LZ4, LAYOUT);
  const chunk = new PageChunk(20);
  for (let page = 0; page < 8; page++) chunk.addFill(1, page, 0);
  for (let page = 8; page < 20; page++) {
    const at = chunk.addData(1, page);
    chunk.data.fill(0xaa, at, at + PAGE_BYTES);
  }
  const payload = packer.pack(chunk, 'filter');
  t.deepEqual(runsOf(payload), [
    [PACKED_KIND.fill, 0, 0, 8],
    [PACKED_KIND.fill, 0xaa, 8, 12],
  ]);
  t.is(bytesOf(payload), PACKED_PREFIX_BYTES + 2 * PACKED_ENTRY_BYTES);
  t.deepEqual(packer.counters, { data: 0, fill: 20, same: 0, delta: 0 });
});

test('a page that differs from a filled one in its last byte is no filled page', t => {
  const packer = new Packer(LZ4, LAYOUT);
  const chunk = new PageChunk(1);
  chunk.addData(1, 0);
  chunk.data.fill(7, 0, PAGE_BYTES);
  chunk.data[PAGE_BYTES - 1] = 8;
  t.is(runsOf(packer.pack(chunk, 'filter'))[0]![0], PACKED_KIND.data);
});

test('a page is referred to from the next checkpoint on: unchanged it costs an entry, changed its changed lines', t => {
  const guest = new PackedGuest(5);
  const { packer } = guest;
  const whole: Dirty[] = [10, 11, 12].map(page => ({ block: 1, page, change: 'new' }));
  const again = whole.map(dirty => ({ ...dirty, change: 'nothing' as const }));
  t.deepEqual(runsOf(packer.pack(guest.chunk(whole), 'pack')), [[PACKED_KIND.data, 0, 10, 3]]);
  t.deepEqual(runsOf(packer.pack(guest.chunk(again), 'pack')), [[PACKED_KIND.data, 0, 10, 3]]);
  packer.next();
  t.deepEqual(runsOf(packer.pack(guest.chunk(again), 'pack')), [[PACKED_KIND.same, 0, 10, 3]]);
  packer.next();
  guest.page(1, 11)[70]! ^= 1;
  const payload = packer.pack(guest.chunk(again), 'pack');
  t.deepEqual(
    runsOf(payload).map(([kind, , page]) => [kind, page]),
    [
      [PACKED_KIND.same, 10],
      [PACKED_KIND.delta, 11],
      [PACKED_KIND.same, 12],
    ],
  );
  t.true(bytesOf(payload) < PACKED_PREFIX_BYTES + 3 * PACKED_ENTRY_BYTES + 8 + 64);
  // What is changed in every line is sent whole.
  packer.next();
  t.deepEqual(runsOf(packer.pack(guest.chunk(whole), 'pack')), [[PACKED_KIND.data, 0, 10, 3]]);
});

test('what was sent unpacked, or before a page made room for another, is not referred to by its content', t => {
  const guest = new PackedGuest(6, PAGE_BYTES);
  const { packer } = guest;
  const one: Dirty = { block: 1, page: 1, change: 'new' };
  const other: Dirty = { block: 1, page: 2, change: 'new' };
  packer.pack(guest.chunk([one, other]), 'pack');
  packer.next();
  const few = (dirty: Dirty): Dirty => ({ ...dirty, change: 'few' });
  t.is(packer.cacheBytes, 1 << 20);
  t.is(runsOf(packer.pack(guest.chunk([few(one)]), 'pack'))[0]![0], PACKED_KIND.data);
  packer.next();
  t.is(runsOf(packer.pack(guest.chunk([few(one)]), 'pack'))[0]![0], PACKED_KIND.delta);
  packer.next();
  packer.passed(guest.chunk([few(one)]));
  packer.next();
  const same: Dirty = { ...one, change: 'nothing' };
  t.is(runsOf(packer.pack(guest.chunk([same]), 'pack'))[0]![0], PACKED_KIND.data);
});

const NOTHING: ReadPage = (_block, _page, into) => into.fill(0);

function codeOf(payload: readonly Buffer[], read: ReadPage | null = NOTHING): string {
  const { buffers } = encodeFrame(MESSAGE.packed, { ...IDENTITY, epoch: 3 }, payload);
  try {
    unpack(decoded(buffers), PAGES, read ?? undefined);
    return 'taken';
  } catch (error) {
    if (error instanceof CurlingError) return `${error.code} ${error.message}`;
    throw error;
  }
}

/** A payload of one `same` and one `fill` entry, with its numbers changed. */
function altered(change: (prefix: Buffer, body: Buffer) => void): Buffer[] {
  const chunk = new PageChunk(2);
  chunk.addFill(1, 3, 9);
  const at = chunk.addData(1, 5);
  for (let byte = 0; byte < PAGE_BYTES; byte++) chunk.data[at + byte] = byte % 251;
  const payload = new Packer(LZ4, LAYOUT).pack(chunk, 'filter').map(piece => Buffer.from(piece));
  change(payload[0]!, payload[1]!);
  return payload;
}

test('what the form does not allow is refused before anything is made of it', t => {
  t.is(codeOf(altered(() => {})), 'taken');
  const refused: [string, RegExp, (prefix: Buffer, body: Buffer) => void][] = [
    ['no entries', /0 entries/, prefix => prefix.writeUInt32BE(0, 0)],
    ['more entries than pages', /3 entries for 2/, prefix => prefix.writeUInt32BE(3, 0)],
    ['too many pages', /for 4097 pages/, prefix => prefix.writeUInt32BE(PACKED_PAGES_MAX + 1, 4)],
    ['pages that no entry has', /entries for 2/, prefix => prefix.writeUInt32BE(9, 4)],
    ['a body too long', /a body of 4294967295/, prefix => prefix.writeUInt32BE(0xffffffff, 8)],
    ['a body of another size', /expected 4121/, prefix => prefix.writeUInt32BE(4121, 8)],
    ['an unknown method', /method 2/, prefix => prefix.writeUInt8(2, 12)],
    ['what must be zero', /must be zero/, prefix => prefix.writeUInt8(1, 15)],
    ['no LZ4 block', /LZ4/, prefix => prefix.writeUInt8(1, 12)],
    ['no such block', /block 3/, (_, body) => body.writeUInt16BE(3, 0)],
    ['an unknown kind', /kind 5/, (_, body) => body.writeUInt8(5, 2)],
    ['kind 0', /kind 0/, (_, body) => body.writeUInt8(0, 2)],
    ['a fill byte for data', /fill 1/, (_, body) => body.writeUInt8(1, PACKED_ENTRY_BYTES + 3)],
    ['a page beyond the block', /from 40/, (_, body) => body.writeUInt32BE(40, 4)],
    [
      'a run beyond the block',
      /no 4294967295 pages/,
      (_, body) => body.writeUInt32BE(0xffffffff, 8),
    ],
    ['an empty run', /no 0 pages/, (_, body) => body.writeUInt32BE(0, 8)],
    ['content that nobody has', /4096 bytes that belong/, (_, body) => body.writeUInt8(3, 14)],
    [
      'too little content',
      /fewer bytes/,
      (prefix, body) => {
        prefix.writeUInt32BE(3, 4);
        body.writeUInt32BE(2, PACKED_ENTRY_BYTES + 8);
      },
    ],
  ];
  for (const [what, words, change] of refused) {
    const said = codeOf(altered(change));
    t.regex(said, /^CURLING_REPLICATION_FRAME /, what);
    t.regex(said, words, what);
  }
});

test('pages that do not come out as they went in are refused by a code of their own', t => {
  t.regex(
    codeOf(altered((_, body) => body.writeUInt8(7, body.length - 1))),
    /^CURLING_REPLICATION_UNPACK /,
  );
  const guest = new PackedGuest(8);
  const dirty: Dirty[] = [
    { block: 1, page: 1, change: 'new' },
    { block: 1, page: 2, change: 'new' },
  ];
  guest.packer.pack(guest.chunk(dirty), 'pack');
  for (const change of ['nothing', 'few'] as const) {
    guest.packer.next();
    const before = guest.copy().blocks[1]!;
    const payload = guest.packer.pack(
      guest.chunk(dirty.map(page => ({ ...page, change }))),
      'pack',
    );
    const right: ReadPage = (_, page, into) => before.copy(into, 0, page * PAGE_BYTES);
    t.is(codeOf(payload, right), 'taken');
    const oneBitOff: ReadPage = (block, page, into) => {
      right(block, page, into);
      if (page === 2) into[4000]! ^= 1;
    };
    t.regex(codeOf(payload, oneBitOff), /^CURLING_REPLICATION_UNPACK .*epoch 3/, change);
    t.regex(codeOf(payload, null), /^CURLING_REPLICATION_FRAME .*full copy/, change);
  }
});

test('a block of LZ4 that claims another size is refused before it is unpacked', t => {
  const guest = new PackedGuest(9);
  const chunk = new PageChunk(4);
  for (let page = 0; page < 4; page++) {
    const at = chunk.addData(1, page);
    chunk.data.fill('text ', at, at + PAGE_BYTES);
  }
  const [prefix, block] = guest.packer.pack(chunk, 'pack').map(piece => Buffer.from(piece));
  t.is(prefix![12], 1);
  t.is(codeOf([prefix!, block!]), 'taken');
  block!.writeUInt32LE(1 << 30, 0);
  t.regex(codeOf([prefix!, block!]), /^CURLING_REPLICATION_FRAME .*another size/);
});
