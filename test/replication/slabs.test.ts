/** Frames whose payloads lie in memory that is used again. */
import test from 'ava';
import fc from 'fast-check';
import { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { type Frame, FrameDecoder } from '../../coordinator/replication/decode.ts';
import { encodeFrame, pagesPayload } from '../../coordinator/replication/encode.ts';
import { parsePages } from '../../coordinator/replication/parse.ts';
import { SlabPool } from '../../coordinator/replication/slabs.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { ADDRESS } from './fixtures.ts';

/** PAGES with so many pages, each of its own bytes. */
function pagesOf(pages: number, seed: number): Buffer {
  const chunk = new PageChunk(pages);
  for (let page = 0; page < pages; page++) {
    const at = chunk.addData(0, page);
    for (let word = 0; word < 4096; word += 4)
      chunk.data.writeUInt32LE(seed * 131 + word, at + word);
  }
  return Buffer.concat(encodeFrame(MESSAGE.pages, ADDRESS, pagesPayload(chunk)).buffers);
}

/** Reads as a socket would: into the pool's space, `readBytes` at most at a time. */
function read(pool: SlabPool, decoder: FrameDecoder, bytes: Buffer, readBytes: number): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = pool.space();
    const length = bytes.copy(space, 0, at, Math.min(bytes.length, at + readBytes));
    at += length;
    const { chunk, slab } = pool.filled(length);
    decoder.push(chunk, slab);
    for (let frame = decoder.next(); frame; frame = decoder.next()) frames.push(frame);
  }
  return frames;
}

const payloadOf = (frame: Frame) => Buffer.concat(frame.payload.pieces, frame.payload.bytes);

test('a payload stays as it came until it is released, however others come and go', t => {
  const sizes = [1, 3, 4, 5, 64, 256, 500];
  const wires = sizes.map((pages, index) => pagesOf(pages, index));
  const kept = fc.record({
    which: fc.nat(wires.length - 1),
    readBytes: fc.integer({ min: 10_000, max: 2 << 20 }),
    releaseFirst: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(kept, { minLength: 1, maxLength: 40 }), steps => {
      const pool = new SlabPool();
      const decoder = new FrameDecoder();
      const held: { frame: Frame; which: number }[] = [];
      const check = () => {
        for (const { frame, which } of held) {
          const wire = wires[which]!;
          if (!payloadOf(frame).equals(wire.subarray(wire.length - frame.payload.bytes)))
            throw new Error(`the frame of ${sizes[which]} pages has changed`);
        }
      };
      for (const { which, readBytes, releaseFirst } of steps) {
        for (const frame of read(pool, decoder, wires[which]!, readBytes))
          held.push({ frame, which });
        check();
        if (releaseFirst) held.shift()!.frame.payload.release();
      }
    }),
    { numRuns: 40 },
  );
  t.pass();
});

test('released memory is used again', t => {
  const pool = new SlabPool();
  const decoder = new FrameDecoder();
  const memories = new Set<ArrayBufferLike>();
  for (let count = 0; count < 50; count++) {
    for (const frame of read(pool, decoder, pagesOf(200, count), 1 << 20)) {
      for (const piece of frame.payload.pieces) memories.add(piece.buffer);
      frame.payload.release();
    }
  }
  t.true(memories.size <= 3, `${memories.size} slabs`);
});

test('a few bytes keep no slab, and at the bound nothing does', t => {
  const pool = new SlabPool();
  const decoder = new FrameDecoder();
  const small = read(pool, decoder, pagesOf(1, 1), 1 << 20);
  t.deepEqual(
    small.map(frame => frame.payload.leased),
    [false],
  );
  const large = Array.from({ length: 100 }, (_, i) =>
    read(pool, decoder, pagesOf(256, i), 1 << 20),
  ).flat();
  const leased = large.filter(frame => frame.payload.leased);
  // 64 MiB, less what the first and the last slab hold of others.
  t.true(leased.length >= 60 && leased.length <= 64, `${leased.length} MiB`);
  t.true(pool.crowded);
  for (const frame of leased) frame.payload.release();
  t.false(pool.crowded);
});

test('a record that is used after its release is found out', t => {
  const [frame] = read(new SlabPool(), new FrameDecoder(), pagesOf(64, 1), 1 << 20);
  const record = parsePages(frame!);
  t.is(record.data.cursor().take(4096).length, 1);
  record.release();
  t.throws(() => record.data.cursor().take(4096), { message: /no more than is left/ });
  t.notThrows(() => record.release());
});

test('the views of one slab are joined, so that a message is few pieces', t => {
  const [frame] = read(new SlabPool(), new FrameDecoder(), pagesOf(64, 1), 10_000);
  t.is(frame!.payload.pieces.length, 1);
});
