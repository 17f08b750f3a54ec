import test from 'ava';
import { run } from '../../common/run.ts';
import { REPOSITORY } from '../../lab/paths.ts';
import { findTestFiles } from './files.ts';
import { type FileTime, FileTimes, readTimes, slowest } from './times.ts';

const AVA = 'node_modules/ava/entrypoints/cli.mjs';
const FAST = 'test/wire/identity.test.ts';

function time(name: string, wallMs: number): FileTime {
  return { path: `/r/test/${name}.test.ts`, node: 'v20.1.0', wallMs, cpuMs: 1500 };
}

test('the slowest files come first, as many as asked for', t => {
  const times = [time('a', 900), time('b', 61_250), time('c', 2000)];
  t.deepEqual(slowest(times, 2, '/r'), [
    '  61.3 s,    1.5 s of processors: test/b.test.ts (Node 20.1.0)',
    '   2.0 s,    1.5 s of processors: test/c.test.ts (Node 20.1.0)',
  ]);
});

test('a line that was cut off hides no other', t => {
  const whole = time('a', 1);
  t.deepEqual(readTimes(`${JSON.stringify(whole)}\n{"path":"/r\n`), [whole]);
});

test('the process of a test file says what it took', async t => {
  const times = new FileTimes();
  await run(process.execPath, [AVA, FAST], { timeoutMs: 60_000 });
  const [taken, ...rest] = times.take();
  t.deepEqual(rest, []);
  t.true(taken!.path.endsWith(FAST));
  t.is(taken!.node, process.version);
  t.true(taken!.wallMs > 0 && taken!.cpuMs > 0);
});

test('the searches run in the background, and are there', t => {
  const files = findTestFiles(REPOSITORY, []);
  const searches = files.filter(({ needs }) => needs === 'time').map(({ path }) => path);
  t.deepEqual(searches, ['test/model/model.test.ts', 'test/sim/simulation.test.ts']);
});
