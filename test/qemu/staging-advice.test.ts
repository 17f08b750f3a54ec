import test from 'ava';
import { stagingAdvice } from '../../coordinator/checkpoint/staging-advice.ts';
import { stagingBound } from '../../coordinator/checkpoint/staging-bound.ts';

const MIB = 2 ** 20;
const PAUSED = {
  bytes: 96 * MIB,
  ranMs: 1000,
  pauseMs: 400,
  sentBytes: 40 * MIB,
  boundBytes: 64 * MIB,
};

test('a link that is slower than the guest writes needs bandwidth', t => {
  const { change, text } = stagingAdvice({ ...PAUSED, ranMs: 500 });
  t.is(change, 'bandwidth');
  t.regex(
    text,
    /staging memory of 64 MiB: a checkpoint of 96 MiB; it wrote 201 MB\/s.*took 105 MB\/s/,
  );
  t.regex(text, /more bandwidth$/);
});

test('a link that is faster than that needs smaller checkpoints, or more room for them', t => {
  const { change, text } = stagingAdvice(PAUSED);
  t.is(change, 'interval');
  t.regex(text, /--interval-max, --fixed-interval.*--staging-mib$/);
  t.is(stagingAdvice({ ...PAUSED, ranMs: 0, pauseMs: 0, sentBytes: 0 }).change, 'bandwidth');
});

test("the bound is the operator's, or 1.5 times the guest's memory", t => {
  t.is(stagingBound(2 * MIB, 4096 * MIB), 2 * MIB);
  t.is(stagingBound(undefined, 2048 * MIB), 3072 * MIB);
  t.is(stagingBound(undefined, 16 * MIB), 64 * MIB);
});
