/** In a file of its own, because the interval timer is replaced for the whole process. */
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { StallWatch, TICKS } from '../../coordinator/qemu/stall-watch.ts';
import { FakeQemu } from './fake-qemu.ts';
import { copied } from './observed-session.ts';

const STALL_MS = 1_000;

test.serial('a QEMU that hangs closes the session, but not where it may wait', async t => {
  mock.timers.enable({ apis: ['setInterval'] });
  const qemu = await new FakeQemu().start();
  t.teardown(async () => {
    mock.timers.reset();
    await qemu.remove();
  });
  const observed = await copied(qemu, { stallMs: STALL_MS });
  const { session } = observed;
  const pass = async (ms: number) => {
    mock.timers.tick(ms);
    await turn();
    await turn();
  };
  for (let n = 0; n < 50; n++) await pass(STALL_MS);
  t.is(session.state, 'copied', 'QEMU waits for READY');

  session.ready();
  await pass(STALL_MS);
  t.is(session.state, 'running', 'READY was said within this time');
  await pass(STALL_MS / TICKS);
  const error = await observed.closed();
  t.is(error.code, 'CURLING_TIMEOUT');
  t.regex(error.message, /1000 ms in state running/);
  await session.end();
  t.true(
    qemu.said.some(([command]) => command === 'x-colo-lost-heartbeat'),
    'the guest runs on without checkpoints when QEMU lets it',
  );
});

/** Ticks of silence until `watch` calls it a stall. */
function untilStall(watch: StallWatch, patient = false): number {
  let ticks = 1;
  while (!watch.tick(true, false, patient) && ticks < 1_000) ticks++;
  watch.tick(false, false, patient);
  return ticks;
}

/** A silence of so many ticks, and then a word. */
function silence(watch: StallWatch, ticks: number): void {
  for (let n = 0; n < ticks; n++) watch.tick(true, false, false);
  watch.tick(true, true, false);
}

test('a QEMU that was slow before is given more time, within a bound', t => {
  const watch = new StallWatch();
  t.is(untilStall(watch), TICKS);
  silence(watch, 1);
  t.is(untilStall(watch), TICKS);
  silence(watch, 3);
  t.is(untilStall(watch), 12);
  silence(watch, 11);
  t.is(untilStall(watch), 40);
  t.is(untilStall(new StallWatch(), true), 40, 'the first pass');
});

test('a QEMU that owes nothing is not slow', t => {
  const watch = new StallWatch();
  for (let n = 0; n < 100; n++) t.false(watch.tick(false, false, false));
  watch.tick(true, true, false);
  t.is(untilStall(watch), TICKS);
});
