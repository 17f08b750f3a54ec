import test from 'ava';
import { HeldOutput } from '../../coordinator/held-output.ts';

function released(held: HeldOutput, epoch: number, now: number): number[] {
  const delays: number[] = [];
  held.released(epoch, now, delayMs => delays.push(delayMs));
  return delays;
}

test('an epoch waits from its first frame to its release', t => {
  const held = new HeldOutput();
  held.pending(1, 100);
  held.pending(1, 105);
  held.sealed(1, 60);
  held.sealed(2, 0);
  held.pending(3, 120);
  t.is(held.sealedBytes, 60);
  held.sealed(3, 40);
  t.is(held.sealedBytes, 100);
  t.deepEqual(released(held, 2, 130), [30]);
  t.is(held.sealedBytes, 40);
  t.deepEqual(released(held, 2, 131), []);
  t.deepEqual(released(held, Number.POSITIVE_INFINITY, 140), [20]);
  t.is(held.sealedBytes, 0);
});

test('the word of a seal may come after that of the next epoch', t => {
  const held = new HeldOutput();
  held.pending(1, 0);
  held.pending(2, 1);
  held.sealed(1, 60);
  t.is(held.sealedBytes, 60);
  t.deepEqual(released(held, 1, 5), [5]);
});

test('what is dropped has no delay, and its numbers may come again', t => {
  const held = new HeldOutput();
  held.pending(7, 100);
  held.sealed(7, 60);
  held.dropped();
  t.is(held.sealedBytes, 0);
  held.pending(5, 200);
  t.deepEqual(released(held, 7, 230), [30]);
});

test('as many epochs are kept as a proxy seals', t => {
  const held = new HeldOutput();
  for (let epoch = 1; epoch <= 1_100; epoch++) {
    held.pending(epoch, epoch);
    held.sealed(epoch, 1);
  }
  t.is(held.sealedBytes, 1_024);
  t.is(released(held, 1_100, 2_000).length, 1_024);
});
