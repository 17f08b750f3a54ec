/** In a file of its own, because the interval timer is replaced for the whole process. */
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { FakeQemu } from './fake-qemu.ts';
import { copied } from './observed-session.ts';

const STALL_MS = 1_000;

test('a QEMU that hangs closes the session, but not where it may wait', async t => {
  mock.timers.enable({ apis: ['setInterval'] });
  const qemu = await new FakeQemu().start();
  t.teardown(async () => {
    mock.timers.reset();
    await qemu.remove();
  });
  const observed = await copied(qemu, { stallMs: STALL_MS });
  const { session } = observed;
  for (let n = 0; n < 5; n++) {
    mock.timers.tick(STALL_MS);
    await turn();
    await turn();
  }
  t.is(session.state, 'copied', 'QEMU waits for READY');

  session.ready();
  mock.timers.tick(STALL_MS);
  await turn();
  await turn();
  t.is(session.state, 'running', 'READY was said within this interval');
  mock.timers.tick(STALL_MS);
  const error = await observed.closed();
  t.is(error.code, 'CURLING_TIMEOUT');
  t.regex(error.message, /1000 ms in state running/);
});
