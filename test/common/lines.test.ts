import test from 'ava';
import fc from 'fast-check';
import { LineSplitter, LineTooLong } from '../../common/qmp/lines.ts';

/** Cuts `bytes` at the given points, in any order. */
function pieces(bytes: Buffer, cuts: number[]): Buffer[] {
  const points = [
    0,
    ...cuts.map(cut => cut % (bytes.length + 1)).sort((a, b) => a - b),
    bytes.length,
  ];
  return points.slice(1).map((end, at) => bytes.subarray(points[at], end));
}

test('lines come out whole however the bytes arrive', t => {
  fc.assert(
    fc.property(
      fc.array(
        fc.string({ minLength: 1 }).filter(text => text.trim() === text && !/[\r\n]/.test(text)),
      ),
      fc.array(fc.nat()),
      (lines, cuts) => {
        const splitter = new LineSplitter(1 << 16);
        const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''));
        const got = pieces(bytes, cuts).flatMap(piece => [...splitter.push(piece)]);
        t.deepEqual(got, lines);
      },
    ),
  );
});

test('a line over the limit is refused as soon as it is over it', t => {
  const splitter = new LineSplitter(8);
  t.deepEqual([...splitter.push(Buffer.from('12345678'))], []);
  t.throws(() => [...splitter.push(Buffer.from('9'))], { instanceOf: LineTooLong });
});

test('a line of just the limit passes, and empty lines are left out', t => {
  const splitter = new LineSplitter(8);
  t.deepEqual([...splitter.push(Buffer.from('\r\n\n12345678\nab\r\n'))], ['12345678', 'ab']);
});
