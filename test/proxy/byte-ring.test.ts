import test from 'ava';
import fc from 'fast-check';
import { ByteRing } from '../../proxy/byte-ring.ts';

const CAPACITY = 64 * 10;

test('places lie inside and apart, whatever the order of steps', t => {
  const step = fc.record({ take: fc.boolean(), length: fc.integer({ min: 1, max: CAPACITY }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), steps => {
      const ring = new ByteRing(CAPACITY + 63);
      const places: { offset: number; length: number }[] = [];
      for (const { take, length } of steps) {
        if (take) {
          const offset = ring.take(length);
          if (offset < 0) {
            t.true(places.length > 0, 'an empty ring has room for anything up to its capacity');
            continue;
          }
          t.true(offset + length <= CAPACITY);
          for (const place of places) {
            const apart = offset + length <= place.offset || place.offset + place.length <= offset;
            t.true(apart);
          }
          places.push({ offset, length });
        } else {
          const place = places.shift();
          if (place) ring.giveBack(place.offset, place.length);
        }
        t.is(ring.places, places.length);
      }
    }),
    { numRuns: 500 },
  );
});

test('what fits is given: place after place until the ring is full, and again once it is empty', t => {
  const ring = new ByteRing(CAPACITY);
  const offsets = Array.from({ length: 10 }, () => ring.take(64));
  t.deepEqual(
    offsets,
    Array.from({ length: 10 }, (_, index) => index * 64),
  );
  t.is(ring.take(1), -1);
  t.false(ring.roomy);
  ring.giveBack(0, 64);
  ring.giveBack(64, 64);
  t.true(ring.roomy);
  t.is(ring.take(64), 0, 'the ring wraps around');
  t.is(ring.take(64), -1, 'the last place is kept free, so that full and empty differ');
  for (const offset of offsets.slice(2)) ring.giveBack(offset, 64);
  ring.giveBack(0, 64);
  t.is(ring.take(CAPACITY), 0);
});

test('a place that is not the oldest is a programming error', t => {
  const ring = new ByteRing(CAPACITY);
  ring.take(64);
  ring.take(64);
  t.throws(() => ring.giveBack(64, 64), { name: 'AssertionError' });
});
