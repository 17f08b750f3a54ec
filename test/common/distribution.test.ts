import test from 'ava';
import fc from 'fast-check';
import { Distribution } from '../../common/distribution.ts';

const duration = () => fc.double({ min: 0.001, max: 100_000, noNaN: true });

function distributionOf(values: readonly number[]): Distribution {
  const distribution = new Distribution();
  for (const value of values) distribution.record(value);
  return distribution;
}

function exactPercentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]!;
}

test('percentiles are within one per cent of those of the sorted values', t => {
  fc.assert(
    fc.property(
      fc.array(duration(), { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, share) => {
        const exact = exactPercentile(values, share);
        const told = distributionOf(values).percentile(share);
        return Math.abs(told - exact) <= exact * 0.01;
      },
    ),
  );
  t.pass();
});

test('counts up to a power of two are exact', t => {
  const powers = Array.from({ length: 20 }, (_, i) => 2 ** (i - 4));
  const value = fc.oneof(duration(), fc.constantFrom(...powers));
  fc.assert(
    fc.property(fc.array(value, { maxLength: 100 }), fc.constantFrom(...powers), (values, up) => {
      // Single precision cannot tell a value from a power of two that is closer than that.
      const clear = values.filter(each => each === up || Math.abs(each - up) > up * 1e-6);
      return distributionOf(clear).countUpTo(up) === clear.filter(each => each <= up).length;
    }),
  );
  t.pass();
});

test('what is added is as if it had been recorded, and cleared is as new', t => {
  const [one, two] = [
    [0.5, 3, 700],
    [0.002, 90_000],
  ] as const;
  const both = distributionOf(one);
  both.add(distributionOf(two));
  const whole = distributionOf([...one, ...two]);
  for (const share of [0, 0.3, 0.5, 0.99, 1]) t.is(both.percentile(share), whole.percentile(share));
  t.is(both.count, 5);
  t.is(both.maxMs, 90_000);
  t.is(both.sumMs, whole.sumMs);
  both.clear();
  t.deepEqual(both, new Distribution());
  both.record(2);
  t.is(both.countUpTo(2), 1);
  t.is(both.countUpTo(1), 0);
});

test('at its bounds a value still counts, and the largest is told as it was', t => {
  const distribution = distributionOf([-5, 0, 1e-9, 1e9, Number.MAX_VALUE]);
  t.is(distribution.count, 5);
  t.is(distribution.countUpTo(2 ** -9), 3);
  t.is(distribution.countUpTo(2 ** 16), 3);
  t.is(distribution.maxMs, Number.MAX_VALUE);
  t.is(new Distribution().percentile(0.5), 0);
});
