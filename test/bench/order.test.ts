import test from 'ava';
import fc from 'fast-check';
import { orderOf } from '../../bench/harness/order.ts';

const LIST = ['a', 'b', 'c', 'd'];

test('rounds begin with another variant each, and go forwards and backwards in turn', t => {
  const rounds = [0, 1, 2, 3, 4].map(round => orderOf(LIST, round).join(''));
  t.deepEqual(rounds, ['abcd', 'badc', 'cdab', 'dcba', 'abcd']);
});

test('property: every round has every variant once, and each is the first equally often', t => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 12 }), fc.nat(100), (count, round) => {
      const list = Array.from({ length: count }, (_, index) => index);
      const sorted = orderOf(list, round).toSorted((a, b) => a - b);
      if (sorted.join() !== list.join()) return false;
      const firsts = list.map(step => orderOf(list, round + step)[0]);
      return new Set(firsts).size === count;
    }),
  );
  t.pass();
});

test('with three variants or more none always follows the same one', t => {
  const followers = new Set<string>();
  for (let round = 0; round < LIST.length; round += 1) {
    const order = orderOf(LIST, round);
    followers.add(order[(order.indexOf('a') + 1) % LIST.length]!);
  }
  t.true(followers.size > 1);
});
