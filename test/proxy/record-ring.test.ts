import test from 'ava';
import fc from 'fast-check';
import { RecordRing } from '../../proxy/record-ring.ts';

/** Of sizes that often fill the ring to its last byte. */
const BLOCK_WORDS = [3, 5, 10, 20, 30];
const CAPACITY = 4 * 120;

/** Writes a block of `length` bytes that holds `mark`, as pcapng's begin: type, length. */
function write(ring: RecordRing, length: number, mark: number): boolean {
  const at = ring.take(length);
  if (at < 0) return false;
  ring.words.fill(mark, at >>> 2, (at + length) >>> 2);
  ring.words[at >>> 2] = 6;
  ring.words[(at >>> 2) + 1] = length;
  return true;
}

function marksOf(chunk: Buffer): number[] {
  const marks: number[] = [];
  for (let at = 0; at < chunk.length; ) {
    const length = chunk.readUInt32LE(at + 4);
    const words = Array.from({ length: length / 4 - 2 }, (_, word) =>
      chunk.readUInt32LE(at + 8 + word * 4),
    );
    marks.push(words[0]!);
    if (!words.every(word => word === words[0])) throw new Error('a block was written over');
    at += length;
  }
  return marks;
}

const writing = fc.record({
  what: fc.constant('write' as const),
  words: fc.constantFrom(...BLOCK_WORDS),
});
const step = fc.oneof(
  { weight: 2, arbitrary: writing },
  fc.record({
    what: fc.constantFrom('publish', 'read', 'read one', 'give back'),
    words: fc.nat(60),
  }),
);

test('blocks come out whole and in order, when they were shown, whatever the order of steps', t => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), steps => {
      const memory = RecordRing.allocate(CAPACITY);
      const [writer, reader] = [new RecordRing(memory), new RecordRing(memory)];
      const hidden: number[] = [];
      const shown: number[] = [];
      let out: Buffer = Buffer.alloc(0);
      let next = 1;
      let used = 0;
      for (const { what, words } of steps) {
        if (what === 'write') {
          if (write(writer, words * 4, next)) {
            hidden.push(next++);
            used += words * 4;
          } else {
            // Left over may be one block before the ring's end, and one before the oldest block.
            t.true(used >= CAPACITY - 2 * 4 * Math.max(...BLOCK_WORDS), `${used} bytes are used`);
          }
        } else if (what === 'publish') {
          writer.publish();
          shown.push(...hidden.splice(0));
        } else if (what !== 'give back' && out.length === 0) {
          t.is(reader.pending === 0, shown.length === 0);
          const before = reader.read(CAPACITY);
          out = what === 'read' ? before : reader.read(words * 4);
          t.true(before.subarray(0, out.length).equals(out));
          t.true(before.length > 0 || shown.length === 0);
          if (what === 'read one') t.true(out.length <= words * 4);
        } else if (out.length > 0) {
          const marks = marksOf(out);
          t.deepEqual(marks, shown.splice(0, marks.length));
          used -= out.length;
          reader.giveBack(out.length);
          out = Buffer.alloc(0);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('counts and the end are seen from both sides', t => {
  const memory = RecordRing.allocate(CAPACITY);
  const [writer, reader] = [new RecordRing(memory), new RecordRing(memory)];
  writer.sent[15] = 2 ** 53 - 1;
  writer.missed[0] = 3;
  t.is(reader.sent[15], 2 ** 53 - 1);
  t.is(reader.missed[0], 3);
  t.false(writer.ended);
  reader.end();
  t.true(writer.ended);
  t.is(reader.pending, 0);
});
