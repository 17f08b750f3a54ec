/** The parts of the wire scenario: the window that counts, and real transfers between two processes. */
import test from 'ava';
import { transfer } from '../../bench/wire/transfer.ts';
import { Window } from '../../bench/wire/window.ts';

test('a window counts what comes after its warm-up and before its end', async t => {
  const window = new Window(100, 200);
  window.add(1, 1000);
  window.add(2, 1099);
  // The first bytes after the warm-up came before the window began.
  window.add(4, 1100);
  window.add(8, 1150);
  t.false(window.over);
  window.add(16, 1310);
  t.true(window.over);
  window.add(32, 1320);
  const { bytes, ms } = await window.done;
  t.deepEqual({ bytes, ms }, { bytes: 24, ms: 210 });
});

for (const [way, secure] of [
  ['own-buffer', false],
  ['checkpoints', true],
] as const) {
  test(`a transfer of ${way} is measured at both ends`, async t => {
    const values = await transfer({ way, secure, warmMs: 0, ms: 50 });
    for (const metric of ['rate', 'source-cpu', 'drain-cpu']) t.true(values[metric]! > 0, metric);
  });
}
