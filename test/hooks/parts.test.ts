import fs from 'node:fs';
import test from 'ava';
import { hookEnvironment, hookInput } from '../../coordinator/hooks/environment.ts';
import { faultOf, HOOKS_MAX, hookNames, readHookFolder } from '../../coordinator/hooks/folder.ts';
import { HookBench } from './bench.ts';

test('hooks run in the order of their names; what editors and packages leave is none', t => {
  const names = ['20-b', 'a', '100-c', 'B', '.hidden', 'old~', '10-x.disabled', '9', 'y.dpkg-old'];
  t.deepEqual(hookNames(names), ['100-c', '20-b', '9', 'B', 'a']);
});

function stat(mode: number, uid: number, kind: 'file' | 'folder' | 'socket' = 'file') {
  const isFile = () => kind === 'file';
  return { mode, uid, isFile, isDirectory: () => kind === 'folder' } as fs.Stats;
}

test('only what root or this user alone can change is run', t => {
  t.is(faultOf(stat(0o755, 0), 7), undefined);
  t.is(faultOf(stat(0o500, 7), 7), undefined);
  t.is(faultOf(stat(0o755, 0, 'folder'), 7), undefined);
  t.regex(faultOf(stat(0o755, 8), 7)!, /belongs to user 8/);
  t.regex(faultOf(stat(0o755, 8), 0)!, /belongs to user 8/);
  t.regex(faultOf(stat(0o757, 0), 7)!, /others can change it \(mode 0757\)/);
  t.regex(faultOf(stat(0o775, 0), 7)!, /others can change it/);
  t.regex(faultOf(stat(0o777, 0, 'folder'), 7)!, /others can change it/);
  t.regex(faultOf(stat(0o644, 0), 7)!, /not executable/);
  t.regex(faultOf(stat(0o755, 0, 'socket'), 7)!, /not a regular file/);
});

test('a folder is read up to its bound, and what is skipped has its reason', t => {
  const bench = new HookBench(t);
  t.deepEqual(readHookFolder(bench.path('none')), { hooks: [], skipped: [] });
  for (let number = 0; number < HOOKS_MAX + 2; number++) bench.script(`${100 + number}`, '');
  const { hooks, skipped } = readHookFolder(bench.hooksFolder);
  t.is(hooks.length, HOOKS_MAX);
  t.is(skipped.length, 2);
  t.regex(skipped[0]!, /132 is one more than 32 hooks/);
  t.regex(readHookFolder(`${bench.hooksFolder}/100`).skipped[0]!, /is not a folder/);
});

test('a link that leads back to itself hides no hook behind it', t => {
  const bench = new HookBench(t);
  for (const name of ['10-a', '30-b']) bench.script(name, '');
  fs.symlinkSync('20-loop', `${bench.hooksFolder}/20-loop`);
  const { hooks, skipped } = readHookFolder(bench.hooksFolder);
  t.deepEqual(
    hooks.map(hook => hook.slice(-4)),
    ['10-a', '30-b'],
  );
  t.regex(skipped.join(), /20-loop/);
});

const TIME = '2026-11-23T18:54:01.945Z';

test('the environment has every variable, nothing else, and no character that ends it', t => {
  const data = { vm: 'web', host: 'kvm1', from: 'BACK', to: 'SOLO', generation: 3 };
  const reason = `a\0b\nc${'ä'.repeat(5000)}`;
  const environment = hookEnvironment({ time: TIME, event: 'E', data: { ...data, reason } });
  t.is(Buffer.byteLength(environment.CURLING_REASON!), 4095);
  t.true(environment.CURLING_REASON!.startsWith('a b cää'));
  const { CURLING_REASON, PATH, ...others } = environment;
  t.regex(PATH!, /\/usr\/sbin:/);
  t.deepEqual(others, {
    ...{ CURLING_EVENT: 'E', CURLING_VM: 'web', CURLING_HOST: 'kvm1', CURLING_FROM: 'BACK' },
    ...{ CURLING_TO: 'SOLO', CURLING_GENERATION: '3', CURLING_EPOCH: '' },
  });
});

test('the input is the event, on one line', t => {
  const line = hookInput({ time: TIME, event: 'E', data: { vm: 'web', reason: 'a\nb' } });
  t.is(line.indexOf('\n'), line.length - 1);
  t.deepEqual(JSON.parse(line), { time: TIME, event: 'E', vm: 'web', reason: 'a\nb' });
});
