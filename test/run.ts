/**
 * `node build/test/run.js [PATTERN…]`: all tests, or those in files whose path contains a pattern. First, side by side,
 * what needs nothing of the machine, the same on a newer Node, and what needs root; then what needs QEMU. In the
 * background of all of it run the searches that only need time. At the end it looks whether anything was left behind,
 * and says which files took longest. The last line is `N passed, N failed`, with `, N skipped` when there are any. The
 * status is not 0 when anything failed.
 */
import { Lab } from '../lab/lab.ts';
import { REPOSITORY } from '../lab/paths.ts';
import { failure, runAva } from './runner/ava.ts';
import { findTestFiles, type Needs, type TestFile } from './runner/files.ts';
import { leftBehind, present, RUN_VARIABLE } from './runner/leftovers.ts';
import { NEWER_NODE_TITLE, testNewerNode } from './runner/newer-node.ts';
import type { TapTest } from './runner/tap.ts';
import { FileTimes, slowest } from './runner/times.ts';

const HEADINGS: Record<Needs, string> = {
  time: 'Searches in the background',
  nothing: 'Tests that need nothing',
  root: 'Tests that need root and network namespaces',
  qemu: 'Tests that need QEMU',
};
const MARKS = { passed: '  ok    ', failed: '  FAILED', skipped: '  skip  ' } as const;

const SLOWEST_COUNT = 10;

const tests: TapTest[] = [];
const times = new FileTimes();
const runId = `${process.pid}-${Date.now()}`;
process.env[RUN_VARIABLE] = runId;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function report(test: TapTest): void {
  tests.push(test);
  print(`${MARKS[test.outcome]} ${test.title}`);
  for (const line of test.details) print(`    ${line}`);
}

/** @param until Default: the tests run in the foreground; else in the background until this resolves. */
async function runFiles(needs: Needs, files: readonly TestFile[], until?: Promise<unknown>) {
  const paths = files.filter(file => file.needs === needs).map(file => file.path);
  if (paths.length === 0) return;
  print(`${HEADINGS[needs]}: ${paths.length} files`);
  const background = until ? { inBackgroundUntil: until } : {};
  await runAva({ repository: REPOSITORY, files: paths, ...background, onTest: report });
}

/** What needs nothing of the machine, on the newer Node, when no pattern leaves that out. */
async function runOnNewerNode(patterns: readonly string[]): Promise<void> {
  if (patterns.length > 0 && !patterns.some(pattern => NEWER_NODE_TITLE.includes(pattern))) return;
  const pure = findTestFiles(REPOSITORY, []).filter(
    ({ needs }) => needs === 'time' || needs === 'nothing',
  );
  const paths = pure.map(file => file.path);
  report(await testNewerNode(REPOSITORY, paths));
}

async function runInForeground(files: readonly TestFile[], patterns: readonly string[]) {
  const lanes = [runFiles('nothing', files), runOnNewerNode(patterns), runFiles('root', files)];
  await Promise.all(lanes);
  await runFiles('qemu', files);
}

async function runAll(patterns: readonly string[]): Promise<void> {
  const swept = Lab.sweep();
  if (swept.length > 0) print(`Removed labs whose owner is dead: ${swept.join(', ')}`);
  const before = present();
  const files = findTestFiles(REPOSITORY, patterns);
  const foreground = runInForeground(files, patterns);
  await Promise.all([foreground, runFiles('time', files, foreground)]);
  const left = await leftBehind(before, runId);
  const title = 'after all › nothing is left behind on the machine';
  report(left.length > 0 ? failure(title, ...left) : { title, outcome: 'passed', details: [] });
  Lab.sweep();
}

function count(outcome: TapTest['outcome']): number {
  return tests.filter(test => test.outcome === outcome).length;
}

function summary(): string {
  const skipped = count('skipped');
  const tail = skipped > 0 ? `, ${skipped} skipped` : '';
  return `${count('passed')} passed, ${count('failed')} failed${tail}`;
}

try {
  await runAll(process.argv.slice(2));
} catch (error) {
  report(failure('the test run itself', ...String((error as Error).stack).split('\n')));
}
const slow = slowest(times.take(), SLOWEST_COUNT, REPOSITORY);
if (slow.length > 0) print(['\nSlowest files:', ...slow].join('\n  '));
// The check for leftovers passes even when there was nothing to run.
if (tests.length <= 1) report(failure('the test run itself', 'no test matches'));
const failed = tests.filter(test => test.outcome === 'failed');
if (failed.length > 0) print('\nFailures:');
for (const test of failed) print([`  ${test.title}`, ...test.details].join('\n    '));
print(summary());
process.exitCode = failed.length > 0 ? 1 : 0;
