import test from 'ava';
import { createRequest } from '../../coordinator/arbitration/host-start.ts';
import { startTimeOf } from '../../lab/processes.ts';
import { Bench, until, VM } from '../coordinator/bench.ts';
import { HookBench } from './bench.ts';

const OTHER = { host: 'b', incarnation: 'f'.repeat(32) };

test('hooks of a coordinator hear every event, also those of its start', async t => {
  const bench = await Bench.create(t);
  const own = new HookBench(t);
  own.script('10-seen', 'echo "$CURLING_EVENT $CURLING_VM $CURLING_FROM $CURLING_TO" >>$here/seen');
  await bench.guest();
  await bench.store.swap(createRequest(VM, OTHER));
  await bench.serving('primary', { hooks: own.hooksFolder });
  await bench.untilStatus('an empty host', status => status.state === 'JOIN');
  await until('all was told', () => own.lines('seen').length === 3);
  t.deepEqual(own.lines('seen'), [
    `FENCED ${VM}  `,
    `EMPTY ${VM}  `,
    `STATE_CHANGE ${VM} HALT JOIN`,
  ]);
  const { hooks } = await bench.untilStatus('counted', status => status.hooks.run === 3);
  t.deepEqual(hooks, { run: 3, failed: 0, timedOut: 0, dropped: 0 });
});

test('a hook that hangs keeps no event from management tools, and does not outlive its coordinator', async t => {
  const bench = await Bench.create(t);
  const own = new HookBench(t);
  own.script('10-hangs', 'echo $$ >>$here/pids; sleep 600');
  await bench.guest();
  const options = { hooks: own.hooksFolder, 'hook-timeout': '600000' };
  const program = await bench.serving('primary', options, ['--create']);
  await bench.untilStatus('alone', ({ state }) => state === 'SOLO');
  const heard: string[] = [];
  (await bench.control()).on('event', ({ event }) => heard.push(event));
  // Another owner: this host is told within two seconds.
  await bench.proxy.close();
  await until('the first event', () => heard.includes('PROXY_LOST'));
  await until('the hook runs', () => own.pids().length === 1);
  await bench.store.forget(VM);
  await bench.store.swap(createRequest(VM, OTHER));
  await until('further events', () => heard.includes('EMPTY'));
  await bench.untilStatus('an empty host', ({ state }) => state === 'JOIN');
  t.not(startTimeOf(own.pids()[0]!), 0, 'it hangs all the time');
  t.is((await bench.status()).hooks.run, 0);
  await program.kill();
  await until('it is ended with its coordinator', () => own.allEnded);
});
