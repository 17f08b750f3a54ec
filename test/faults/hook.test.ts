/** The hook that stops a process at a point. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type StopPoint, testStopFrom } from '../../common/test-stop.ts';
import { isStopped } from './field.ts';

function folder(t: ExecutionContext): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-hook-'));
  t.teardown(() => fs.rmSync(made, { recursive: true }));
  return made;
}

/** The hook of an environment, and the points at which it stopped. */
function hooked(environment: NodeJS.ProcessEnv) {
  const stops: number[] = [];
  let passed = 0;
  const hook = testStopFrom(environment, () => stops.push(passed))!;
  const pass = (...points: StopPoint[]) => {
    for (const point of points) {
      passed++;
      hook(point);
    }
    return stops;
  };
  return { pass };
}

test('without its variables there is no hook at all', t => {
  t.is(testStopFrom({}), undefined);
  t.is(testStopFrom({ CURLING_TEST_STOP_AT: '', CURLING_TEST_STOP_FILE: '' }), undefined);
});

test('CURLING_TEST_STOP_AT stops once, at the Nth passing of its point', t => {
  const { pass } = hooked({ CURLING_TEST_STOP_AT: 'sealed:2' });
  t.deepEqual(pass('sealed', 'due'), []);
  t.deepEqual(pass('sealed'), [3]);
  t.deepEqual(pass('sealed', 'sealed'), [3]);
});

test('CURLING_TEST_STOP_FILE counts from when the file was written, and is removed when it is hit', t => {
  const file = path.join(folder(t), 'stop');
  const { pass } = hooked({ CURLING_TEST_STOP_FILE: file });
  t.deepEqual(pass('sealed', 'sealed'), [], 'no file');
  fs.writeFileSync(file, 'sealed:2\n');
  t.deepEqual(pass('sealed', 'resumed'), []);
  t.true(fs.existsSync(file));
  t.deepEqual(pass('sealed'), [5]);
  t.false(fs.existsSync(file));
  t.deepEqual(pass('sealed', 'sealed', 'sealed'), [5]);
  fs.writeFileSync(file, 'due:1');
  t.deepEqual(pass('sealed', 'due'), [5, 10]);
});

test('a wish that was taken back is not fulfilled', t => {
  const file = path.join(folder(t), 'stop');
  const { pass } = hooked({ CURLING_TEST_STOP_FILE: file });
  fs.writeFileSync(file, 'sealed:2');
  pass('sealed');
  fs.rmSync(file);
  t.deepEqual(pass('sealed', 'sealed'), []);
});

test('what is no point is refused', t => {
  const usage = { code: 'CURLING_USAGE' };
  for (const text of ['sealed', 'sealed:0', 'nowhere:1', 'sealed:1:2'])
    t.throws(() => testStopFrom({ CURLING_TEST_STOP_AT: text }), usage, text);
  const file = path.join(folder(t), 'stop');
  const { pass } = hooked({ CURLING_TEST_STOP_FILE: file });
  fs.writeFileSync(file, 'nowhere:1');
  t.throws(() => pass('sealed'), usage);
});

/** A process whose second thread passes a point and then says so. */
const THREAD = `
  import { Worker, isMainThread } from 'node:worker_threads';
  import { fileURLToPath } from 'node:url';
  const { testStopFrom } = await import(process.argv[2] ?? process.env.HOOK);
  if (isMainThread) new Worker(fileURLToPath(import.meta.url), { env: process.env });
  else {
    testStopFrom(process.env)('releasing');
    process.stdout.write('went on');
  }
`;

async function untilStopped(child: ChildProcess): Promise<void> {
  while (!isStopped(child.pid!)) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

test('a process stops itself from any thread, and goes on with the next statement', async t => {
  const script = path.join(folder(t), 'thread.mjs');
  fs.writeFileSync(script, THREAD);
  const hook = path.resolve('build/common/test-stop.js');
  const env = { ...process.env, HOOK: hook, CURLING_TEST_STOP_AT: 'releasing:1' };
  const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', chunk => {
    said += chunk;
  });
  await untilStopped(child);
  t.is(said, '');
  child.kill('SIGCONT');
  await once(child, 'exit');
  t.is(said, 'went on');
});
