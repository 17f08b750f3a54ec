import test from 'ava';
import fc from 'fast-check';
import { ChunkPool } from '../../coordinator/checkpoint/chunk-pool.ts';
import type { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';

const STEPS = ['take', 'take', 'give', 'grow', 'shrink'] as const;

test('a chunk has one user at a time, and above the bound there is only what is used there', t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 0, max: 12 }),
      fc.array(fc.tuple(fc.constantFrom(...STEPS), fc.nat({ max: 20 }))),
      (chunksMin, more, steps) => {
        const chunksMax = chunksMin + more;
        const pool = new ChunkPool({ chunkPages: 1, chunksMin, chunksMax });
        const marks = new Map<PageChunk, number>();
        let mark = 0;
        for (const [step, number] of steps) {
          if (step === 'take') {
            const chunk = pool.take();
            t.false(marks.has(chunk), 'nobody has it');
            t.is(chunk.count, 0, 'empty');
            chunk.data.writeUInt32LE(++mark, 0);
            chunk.addFill(0, 0, 0);
            marks.set(chunk, mark);
          } else if (step === 'give') {
            const chunk = [...marks.keys()][number % Math.max(1, marks.size)];
            if (!chunk) continue;
            marks.delete(chunk);
            pool.giveBack(chunk);
          } else if (step === 'grow') {
            const room = pool.chunks < chunksMax;
            t.is(pool.grow(), room);
          } else pool.shrink(number);
          for (const [chunk, written] of marks) t.is(chunk.data.readUInt32LE(0), written);
          t.is(pool.used, marks.size);
          t.true(pool.chunks >= Math.max(chunksMin, pool.used));
          t.true(pool.chunks <= Math.max(chunksMax, pool.used + 3), 'a slab has four chunks');
        }
        for (const chunk of marks.keys()) pool.giveBack(chunk);
        t.true(pool.chunks <= chunksMax, 'what was made above the bound is gone');
        pool.shrink(0);
        t.true(pool.chunks < chunksMin + 4, 'only whole slabs go');
        const { grown, overflows, shrunk } = pool.counters;
        t.is(pool.chunks, chunksMin + grown + overflows - shrunk);
      },
    ),
  );
});

test('what a pool gives back is memory, at once and not with the next garbage collection', async t => {
  const pool = new ChunkPool({ chunkPages: 64, chunksMin: 4, chunksMax: 64 });
  while (pool.grow());
  const { arrayBuffers } = process.memoryUsage();
  pool.shrink(4);
  // The message that takes it along is dropped when its port closes.
  await new Promise(resolve => setTimeout(resolve, 50));
  t.true(arrayBuffers - process.memoryUsage().arrayBuffers >= 15 << 20);
  const chunk = pool.take();
  t.is(chunk.data.length, 64 * 4096);
});
