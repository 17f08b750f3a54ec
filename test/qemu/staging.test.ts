import test from 'ava';
import fc from 'fast-check';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { applyChunk } from './image.ts';

const CHUNK_PAGES = 4;
const CHUNK_BYTES = CHUNK_PAGES * PAGE_BYTES;

function make(chunks: number) {
  const lent: PageChunk[] = [];
  const staging = new Staging({
    poolBytes: chunks * CHUNK_BYTES,
    chunkPages: CHUNK_PAGES,
    onChunk: chunk => lent.push(chunk),
  });
  const put = (block: number, page: number, byte: number, data: boolean) => {
    if (!data) return staging.fillPage(block, page, byte);
    staging.dataPage(block, page);
    const { buffer, offset } = staging.target;
    buffer.fill(byte, offset, offset + PAGE_BYTES);
    staging.pageDone();
  };
  return { staging, lent, put };
}

const page = fc.record({
  block: fc.nat({ max: 1 }),
  page: fc.nat({ max: 9 }),
  byte: fc.nat({ max: 255 }),
  data: fc.boolean(),
});

test('chunks hold the pages in their order, and the pool keeps its bound', t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 5 }),
      fc.array(fc.oneof(page, fc.constantFrom('flush' as const, 'recycle' as const))),
      (chunks, steps) => {
        const { staging, lent, put } = make(chunks);
        const expected = [Buffer.alloc(10 * PAGE_BYTES), Buffer.alloc(10 * PAGE_BYTES)];
        const image = expected.map(block => Buffer.from(block));
        const giveBack = (chunk: PageChunk) => {
          applyChunk(image, chunk);
          staging.recycle(chunk);
        };
        for (const step of steps) {
          if (step === 'recycle' && lent.length > 0) giveBack(lent.shift()!);
          // A reader that pauses while the pool is starved never lifts it above its bound.
          if (staging.starved) giveBack(lent.shift()!);
          if (step === 'flush') staging.flush();
          else if (step !== 'recycle') {
            put(step.block, step.page, step.byte, step.data);
            const at = step.page * PAGE_BYTES;
            expected[step.block]!.fill(step.byte, at, at + PAGE_BYTES);
          }
          t.true(staging.reservedBytes <= chunks * CHUNK_BYTES);
          t.is(staging.lentChunks, lent.length);
        }
        staging.flush();
        for (const chunk of lent.splice(0)) giveBack(chunk);
        t.true(image.every((block, index) => block.equals(expected[index]!)));
        t.is(staging.poolCounters.overflows, 0);
        t.is(staging.reservedBytes, chunks * CHUNK_BYTES);
      },
    ),
  );
});

test('what one socket chunk still holds is taken above the bound, and given up again', t => {
  const { staging, lent, put } = make(2);
  let calls = 0;
  for (let n = 0; n < 13; n++) put(0, n, 1, n % 2 === 0);
  t.true(staging.starved);
  t.is(staging.poolCounters.overflows, 2);
  t.is(staging.reservedBytes, 4 * CHUNK_BYTES);
  staging.whenFree(() => calls++);
  t.is(staging.counters.waits, 1);
  staging.recycle(lent[0]!);
  t.is(calls, 0, 'still above the bound');
  staging.recycle(lent[1]!);
  t.false(staging.starved, 'one chunk is lent, one is being filled');
  t.is(calls, 1);
  staging.recycle(lent[2]!);
  t.is(calls, 1, 'called once');
  t.is(staging.reservedBytes, 2 * CHUNK_BYTES);
});

test('a checkpoint that does not end leaves nothing in the next one', t => {
  const { staging, lent, put } = make(2);
  put(0, 1, 1, true);
  staging.discard();
  t.deepEqual(lent, []);
  put(0, 2, 2, false);
  staging.flush();
  staging.flush();
  t.is(lent.length, 1);
  t.is(lent[0]!.count, 1);
  t.is(lent[0]!.entries.readUInt32BE(4), 2);
});

test('a chunk comes back once, and only one that was lent', t => {
  const { staging, lent, put } = make(2);
  put(0, 0, 0, false);
  staging.flush();
  staging.recycle(lent[0]!);
  t.throws(() => staging.recycle(lent[0]!), { message: /not lent/ });
  t.throws(() => staging.recycle(new PageChunk(1)), { message: /not lent/ });
  t.throws(() => staging.whenFree(() => {}), { message: /nothing to wait for/ });
});

test('the pool has two chunks at the least', t => {
  t.is(make(0).staging.reservedBytes, 2 * CHUNK_BYTES);
});

test('what the link does not take of a full copy is bounded by itself, and makes no guest wait', t => {
  const lent: PageChunk[] = [];
  const staging = new Staging({
    poolBytes: 8 * CHUNK_BYTES,
    copyBytes: 2 * CHUNK_BYTES,
    chunkPages: CHUNK_PAGES,
    onChunk: chunk => lent.push(chunk),
  });
  const fill = (chunks: number) => {
    for (let page = 0; page < chunks * CHUNK_PAGES; page++) staging.fillPage(0, page, 0);
  };
  fill(2);
  t.true(staging.starved);
  let calls = 0;
  staging.whenFree(() => calls++);
  staging.copied();
  t.is(calls, 1, 'a checkpoint has the whole pool');
  fill(6);
  t.true(staging.starved);
  staging.whenFree(() => calls++);
  t.like(staging.counters, { waits: 2, copyWaits: 1 });
  t.is(staging.peakBytes, 8 * CHUNK_BYTES);
  for (const chunk of lent) staging.recycle(chunk);
  t.is(calls, 2);
});

test('the pool grows ahead of need and is given back after a quiet time', t => {
  const lent: PageChunk[] = [];
  const staging = new Staging({
    poolBytes: 64 << 20,
    chunkPages: 64,
    onChunk: chunk => lent.push(chunk),
  });
  const kept = staging.reservedBytes;
  t.is(kept, 4 << 20);
  t.is(staging.tend(0), 'never');
  for (let page = 0; page < 16 * 256; page++) staging.fillPage(0, page, 0);
  for (const chunk of lent.splice(0)) staging.recycle(chunk);
  t.is(staging.reservedBytes, 16 << 20);
  let steps = 1;
  while (staging.tend(1) === 'soon') steps++;
  t.is(steps, 8, 'one MiB each');
  t.is(staging.reservedBytes, 24 << 20);
  let now = 1;
  for (; staging.tend(now) === 'later'; now += 1000) t.true(now < 30_000);
  t.is(staging.reservedBytes, kept);
  t.true(now > 5_000);
  t.like(staging.poolCounters, {
    grownBytes: 20 << 20,
    shrunkBytes: 20 << 20,
    lateBytes: 12 << 20,
  });
});

test('a chunk has room for more pages of one byte than for contents', t => {
  const lent: PageChunk[] = [];
  const staging = new Staging({
    chunkPages: 2,
    chunkEntries: 5,
    onChunk: chunk => lent.push(chunk),
  });
  const data = (page: number) => {
    staging.dataPage(0, page);
    staging.pageDone();
  };
  for (let page = 0; page < 5; page++) staging.fillPage(0, page, 0);
  data(5);
  staging.fillPage(0, 6, 0);
  data(7);
  data(8);
  staging.flush();
  t.deepEqual(
    lent.map(({ count, dataPages }) => [count, dataPages]),
    [
      [5, 0],
      [3, 2],
      [1, 1],
    ],
  );
});

test('what was in use for the copy does not count for the checkpoints', t => {
  const lent: PageChunk[] = [];
  const staging = new Staging({
    poolBytes: 64 << 20,
    copyBytes: 32 << 20,
    chunkPages: 64,
    onChunk: chunk => lent.push(chunk),
  });
  for (let page = 0; page < 32 * 256; page++) staging.fillPage(0, page, 0);
  staging.copied();
  for (const chunk of lent) staging.recycle(chunk);
  t.is(staging.tend(0), 'later');
  t.true(staging.reservedBytes < 32 << 20);
});
