import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { GuestLoad } from '../../coordinator/qemu/guest-load.ts';

test('a thread that sleeps does not work, and one that cannot be looked at works always', async t => {
  const sleeper = spawn('sleep', ['60']);
  t.teardown(() => sleeper.kill('SIGKILL'));
  await once(sleeper, 'spawn');
  const load = new GuestLoad([sleeper.pid!], 0);
  // By its own clock hours pass, in which the process cannot have worked for a minute.
  t.true(load.share(3_600_000, 0) < 0.02);
  t.true(load.share(7_200_000, 3_600_000 - 1) <= 1);
  t.true(load.workedMs() < 60_000);
  const exited = once(sleeper, 'exit');
  sleeper.kill('SIGKILL');
  await exited;
  for (const now of [9_000_000, 9_000_100, 9_000_200]) t.is(load.share(now, 0), 1);
  t.is(load.workedMs(), Number.POSITIVE_INFINITY);
  load.close();
  const unknown = new GuestLoad([2 ** 30], 0);
  t.is(unknown.share(1000, 0), 1);
  t.is(unknown.workedMs(), Number.POSITIVE_INFINITY);
  unknown.close();
  t.is(new GuestLoad([], 0).share(1000, 0), 1);
});

test('a thread that worked longer than it ran by the clock worked always', t => {
  const load = new GuestLoad([process.pid], 0);
  for (let sum = 0; sum < 2e7; sum++);
  t.true(load.workedMs() > 1 && load.workedMs() < 60_000);
  t.is(load.share(0.001, 0), 1);
  t.is(load.share(0.002, 5), 1, 'no time at all');
  load.close();
});
