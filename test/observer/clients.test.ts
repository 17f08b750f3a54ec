import test from 'ava';
import fc from 'fast-check';
import { AnswerStream } from '../../lab/client/answer-stream.ts';
import { BulkStream } from '../../lab/client/bulk-stream.ts';
import { EchoStream } from '../../lab/client/echo-stream.ts';
import { CasRegister } from '../../lab/client/register.ts';
import { SilenceTracker } from '../../lab/client/silence.ts';
import { Generator } from '../../lab/guest/generator.ts';

/** Cuts bytes at the given places. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set([0, ...cuts.map(cut => cut % (bytes.length + 1)), bytes.length])];
  at.sort((a, b) => a - b);
  return at.slice(1).map((end, i) => bytes.subarray(at[i]!, end));
}

const cuts = fc.array(fc.nat(2000), { maxLength: 12 });

test('an echo in any pieces gives each round trip once and finds every wrong byte', t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 20 }),
      cuts,
      fc.nat(),
      (size, count, at, flip) => {
        const stream = new EchoStream(size, 100);
        const sent = Array.from({ length: count }, (_, i) => stream.send(i, `label ${i % 2}`)!);
        const back = Buffer.concat(sent);
        const wrongAt = flip % back.length;
        if (flip % 2) back[wrongAt]! ^= 1;
        const trips = pieces(back, at).flatMap(piece => stream.receive(piece, 1000));
        t.deepEqual(
          trips,
          sent.map((_, i) => ({ label: `label ${i % 2}`, ms: 1000 - i })),
        );
        t.is(stream.outstanding, 0);
        t.is(stream.wrongBytes, flip % 2);
        t.is(stream.firstWrongAt, flip % 2 ? wrongAt : undefined);
      },
    ),
  );
});

test('an echo client stops at its bound and counts what comes unasked', t => {
  const stream = new EchoStream(8, 2);
  t.truthy(stream.send(0, 'a'));
  t.truthy(stream.send(0, 'a'));
  t.is(stream.send(0, 'a'), undefined);
  t.is(stream.skipped, 1);
  const unasked = new EchoStream(8, 2);
  t.deepEqual(unasked.receive(Buffer.alloc(3), 0), []);
  t.is(unasked.wrongBytes, 3);
});

test('a bulk transfer in any pieces is checked byte by byte', t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), cuts, fc.nat(1999), (length, at, flip) => {
      const bytes = new Generator(9n).fill(Buffer.alloc(length + 3));
      const good = new BulkStream(length, 9n);
      const bad = new BulkStream(length, 9n);
      for (const piece of pieces(bytes.subarray(0, length), at)) good.push(piece);
      t.like(good, { complete: true, wrongBytes: 0, firstWrongAt: undefined });
      bytes[flip % length]! ^= 0x80;
      for (const piece of pieces(bytes, at)) bad.push(piece);
      // Three bytes came too many.
      t.like(bad, { wrongBytes: 4, firstWrongAt: flip % length });
    }),
  );
});

const ZERO = '0'.repeat(32);
const value = (n: number) => n.toString(16).padStart(32, '0');
const RUN = 'aaaaaaaaaaaaaaaa';

test('the register compares and swaps, and counts what does not fit', t => {
  const register = new CasRegister();
  t.is(register.apply('GET', 0), `VALUE ${ZERO}`);
  t.is(register.apply(`CAS ${RUN}:1 ${ZERO} ${value(1)}`, 1), 'OK');
  t.is(register.apply(`CAS ${RUN}:2 ${value(9)} ${value(2)}`, 2), `NO ${value(1)}`);
  t.is(register.apply(`CAS ${RUN}:2 ${value(1)} ${value(3)}`, 3), 'OK');
  t.is(register.apply(`CAS ${RUN}:5 ${value(3)} ${value(5)}`, 4), 'OK');
  for (const junk of ['', 'CAS', `CAS ${RUN}:0 ${ZERO} ${ZERO}`, `CAS ${RUN}:1 ${ZERO} xyz`])
    t.regex(register.apply(junk, 5), /^ERROR/);
  t.deepEqual(register.summary(), {
    operations: 4,
    applied: 3,
    repeated: 1,
    skipped: 2,
    contradicted: 1,
    malformed: 4,
    unlogged: 0,
    current: value(5),
  });
  t.is(register.log[1]?.held, value(1));
});

test('a full log says so and the register goes on', t => {
  const register = new CasRegister(1);
  register.apply(`CAS ${RUN}:1 ${ZERO} ${value(1)}`, 1);
  register.apply(`CAS ${RUN}:2 ${value(1)} ${value(2)}`, 1);
  t.like(register.summary(), { operations: 2, applied: 2, unlogged: 1 });
});

test('control answers are found in any pieces, with their blocks', t => {
  const block = Buffer.from('0123456789abcdef\n{"error":1}\n...');
  t.is(block.length, 32);
  const whole = Buffer.concat([
    Buffer.from('{"running":true}\n{"count":2,"chain":"00"}\n'),
    block,
    Buffer.from('{"count":5}\n'),
  ]);
  fc.assert(
    fc.property(cuts, at => {
      const stream = new AnswerStream();
      const answers = pieces(whole, at).flatMap(piece => stream.push(piece));
      t.deepEqual(answers, [
        { facts: { running: true }, block: Buffer.alloc(0) },
        { facts: { count: 2, chain: '00' }, block },
        { facts: { count: 5 }, block: Buffer.alloc(0) },
      ]);
    }),
  );
});

test('control answers that are none are a coded error', t => {
  const wrong = ['nonsense\n', '7\n', '{"count":-1,"chain":""}\n', '{"count":1e9,"chain":""}\n'];
  for (const text of [...wrong, 'x'.repeat(9000)])
    t.throws(() => new AnswerStream().push(Buffer.from(text)), { code: 'CURLING_MESSAGE' });
});

test('the longest silences are kept, longest first, with the one that goes on', t => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 30 }), lengths => {
      const tracker = new SilenceTracker(3);
      let now = 0;
      tracker.see(now);
      for (const length of lengths) {
        now += length;
        tracker.see(now);
      }
      const expected = [...lengths].sort((a, b) => b - a).slice(0, 3);
      t.deepEqual(
        tracker.longest().map(silence => silence.durationMs),
        expected,
      );
      t.is(tracker.longest(now + 1000)[0]?.durationMs, 1000);
    }),
  );
});
