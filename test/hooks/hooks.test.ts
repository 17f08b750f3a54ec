import fs from 'node:fs';
import test from 'ava';
import { EVENTS_MAX } from '../../coordinator/hooks/hooks.ts';
import { startTimeOf } from '../../lab/processes.ts';
import { until } from '../coordinator/bench.ts';
import { HookBench } from './bench.ts';

const DATA = { vm: 'web', host: 'kvm1', generation: 3, reason: 'a reason' };

test('hooks run one after the other, event after event, with the environment and the event', async t => {
  const bench = new HookBench(t);
  process.env.CURLING_TEST_SECRET = 'x';
  t.teardown(() => {
    delete process.env.CURLING_TEST_SECRET;
  });
  bench.script(
    '10-slow',
    'echo "slow $CURLING_EVENT" >>$here/seen; sleep 0.2; echo end >>$here/seen',
  );
  bench.script('20-told', 'echo "told $CURLING_EVENT" >>$here/seen; env >$here/env; cat >$here/in');
  bench.script('30-off.disabled', 'echo off >>$here/seen');
  const hooks = bench.hooks();
  await hooks.open();
  hooks.take('FENCED', DATA);
  hooks.take('EMPTY', { ...DATA, epoch: 7 });
  await until('both were told', () => hooks.counters.run === 4);
  const expected = ['slow FENCED', 'end', 'told FENCED', 'slow EMPTY', 'end', 'told EMPTY'];
  t.deepEqual(bench.lines('seen'), expected);
  t.deepEqual(hooks.counters, { run: 4, failed: 0, timedOut: 0, dropped: 0 });
  t.like(JSON.parse(bench.text('in')), { event: 'EMPTY', ...DATA, epoch: 7 });
  // A shell adds PWD, and some SHLVL, OLDPWD and _.
  const names = bench.lines('env').map(line => line.split('=')[0]!);
  const given = names.filter(name => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name));
  t.deepEqual(given.sort(), [
    ...['CURLING_EPOCH', 'CURLING_EVENT', 'CURLING_FROM', 'CURLING_GENERATION', 'CURLING_HOST'],
    ...['CURLING_REASON', 'CURLING_TO', 'CURLING_VM', 'PATH'],
  ]);
  t.true(bench.lines('env').includes('CURLING_EPOCH=7'));
  t.deepEqual(bench.log, []);
});

test('a hook that others can change is never run, and is warned of once', async t => {
  const bench = new HookBench(t);
  bench.script('10-open', 'echo open >>$here/seen', 0o757);
  bench.script('20-good', 'echo good >>$here/seen');
  const hooks = bench.hooks();
  hooks.take('FENCED', DATA);
  hooks.take('EMPTY', DATA);
  await until('both were told', () => hooks.counters.run === 2);
  t.deepEqual(bench.lines('seen'), ['good', 'good']);
  t.is(bench.log.length, 1);
  t.regex(bench.log[0]!.msg, /not run as a hook: .*10-open others can change it \(mode 0757\)/);
  fs.chmodSync(bench.hooksFolder, 0o777);
  hooks.take('EMPTY', DATA);
  await until('the folder is warned of', () => bench.log.length === 2);
  t.regex(bench.log[1]!.msg, /hooks\.d others can change it/);
  t.is(hooks.counters.run, 2);
});

test('at the bound a hook is ended with its children and theirs, and the next one runs', async t => {
  const bench = new HookBench(t);
  const inner = 'sleep 600 & echo $! >>$here/pids; wait';
  bench.script('10-hangs', `echo $$ >>$here/pids; (${inner}) & echo $! >>$here/pids; wait`);
  bench.script('20-next', 'echo next >>$here/seen');
  const hooks = bench.hooks(1_000);
  hooks.take('FENCED', DATA);
  await until('three processes', () => bench.pids().length === 3);
  await until('the next one ran', () => hooks.counters.run === 2);
  await until('all have ended', () => bench.allEnded);
  t.deepEqual(bench.lines('seen'), ['next']);
  t.deepEqual(hooks.counters, { run: 2, failed: 0, timedOut: 1, dropped: 0 });
  t.like(bench.log[0], { event: 'FENCED', msg: 'hook was ended after 1000 ms' });
});

test('what a hook leaves in the background ends with it, or holds its run up to the bound', async t => {
  const bench = new HookBench(t);
  bench.script('10-quiet', 'sleep 600 >/dev/null 2>&1 & echo $! >>$here/pids');
  const hooks = bench.hooks(1_000);
  hooks.take('FENCED', DATA);
  await until('it has run', () => hooks.counters.run === 1);
  await until('all have ended', () => bench.pids().length === 1 && bench.allEnded);
  bench.script('10-quiet', 'sleep 600 & echo $! >>$here/pids');
  hooks.take('EMPTY', DATA);
  await until('it has run', () => hooks.counters.run === 2);
  await until('all have ended', () => bench.pids().length === 2 && bench.allEnded);
  t.is(hooks.counters.timedOut, 1);
});

test('a hook that leaves its session with its output open is not waited for', async t => {
  const bench = new HookBench(t);
  bench.script('10-away', 'setsid sleep 600 & echo $! >>$here/pids');
  const hooks = bench.hooks(1_000);
  hooks.take('FENCED', DATA);
  await until('it is over', () => hooks.counters.run === 1);
  t.is(hooks.counters.timedOut, 1);
});

test('how a hook fails is in the log, with the beginning of what it wrote', async t => {
  const bench = new HookBench(t);
  bench.script('10-fails', 'head -c 5000 /dev/zero | tr "\\0" x; echo end >&2; exit 3');
  bench.script('20-killed', 'kill -9 $$');
  fs.writeFileSync(`${bench.hooksFolder}/30-none`, '#!/no/such/program\n', { mode: 0o755 });
  bench.script('40-talks', 'echo all is well');
  const hooks = bench.hooks();
  hooks.take('FENCED', DATA);
  await until('all have run', () => hooks.counters.run === 4);
  t.deepEqual(hooks.counters, { run: 4, failed: 3, timedOut: 0, dropped: 0 });
  const [fails, killed, none, talks] = bench.log;
  t.is(fails!.msg, 'hook ended with status 3');
  t.is(fails!.output!.length, 4096);
  t.is(fails!.cutBytes, 5004 - 4096);
  t.is(killed!.msg, 'hook ended with SIGKILL');
  t.regex(none!.msg, /could not be started: .*ENOENT/);
  t.like(talks, { msg: 'hook', output: 'all is well', event: 'FENCED' });
});

test('what waits is bounded: the oldest go, are counted, and the order stays', async t => {
  const bench = new HookBench(t);
  const wait = 'while [ ! -e $here/go ]; do sleep 0.05; done';
  bench.script('10-waits', `${wait}; echo $CURLING_EPOCH >>$here/seen`);
  const hooks = bench.hooks();
  const events = 1 + EVENTS_MAX + 3;
  for (let epoch = 0; epoch < events; epoch++) hooks.take('EMPTY', { ...DATA, epoch });
  t.is(hooks.counters.dropped, 3, 'at once');
  fs.writeFileSync(bench.path('go'), '');
  await until('the rest was told', () => hooks.counters.run === 1 + EVENTS_MAX);
  const seen = bench.lines('seen').map(Number);
  t.deepEqual(seen, [0, ...Array.from({ length: EVENTS_MAX }, (_, index) => index + 4)]);
  t.is(bench.log.length, 3);
  t.regex(bench.log[0]!.msg, /hooks are not told: too many wait/);
});

test('a hook that comes later is run; a runner that dies is replaced, and its event counted', async t => {
  const bench = new HookBench(t);
  const hooks = bench.hooks();
  await hooks.open();
  // Nobody ends it when its runner is killed.
  const waits = 'while [ -d $here ] && [ ! -e $here/go ]; do sleep 0.05; done';
  bench.script('10-late', `echo $PPID >>$here/pids; ${waits}`);
  hooks.take('EMPTY', DATA);
  await until('it runs', () => bench.pids().length === 1);
  fs.writeFileSync(bench.path('go'), '');
  process.kill(bench.pids()[0]!, 'SIGKILL');
  hooks.take('EMPTY', DATA);
  await until('it has run', () => hooks.counters.run === 1);
  t.is(hooks.counters.dropped, 1);
  t.regex(bench.log[0]!.msg, /hooks are not told: their runner ended with SIGKILL/);
  t.not(bench.pids()[1], bench.pids()[0]);
  t.not(startTimeOf(bench.pids()[1]!), 0);
});

test('at the end hooks hear what waits, within the time of one run', async t => {
  const bench = new HookBench(t);
  bench.script('10-good', 'echo $CURLING_EVENT >>$here/seen');
  const hooks = bench.hooks();
  hooks.take('FENCED', DATA);
  hooks.take('EMPTY', DATA);
  await hooks.close();
  hooks.take('LATE', DATA);
  t.deepEqual(bench.lines('seen'), ['FENCED', 'EMPTY']);
  t.is(hooks.counters.dropped, 0);
  const other = new HookBench(t);
  other.script('10-hangs', 'echo $$ >>$here/pids; sleep 600');
  const hanging = other.hooks(100);
  hanging.take('FENCED', DATA);
  await hanging.close();
  await until('it has ended', () => other.allEnded);
});

test('the end does not wait as long as a run may take', async t => {
  const bench = new HookBench(t);
  bench.script('10-hangs', 'echo $$ >>$here/pids; sleep 600');
  const hooks = bench.hooks(600_000, 100);
  hooks.take('FENCED', DATA);
  await until('it runs', () => bench.pids().length === 1);
  await hooks.close();
  await until('it has ended', () => bench.allEnded);
  t.is(hooks.counters.dropped, 1);
});
