/**
 * `node build/test/run.js [PATTERN…]`: all tests, or those in files whose path contains a pattern. First what needs
 * nothing of the machine, then what needs root, then what needs QEMU; then looks whether anything was left behind.
 * The last line is `N passed, N failed`, with `, N skipped` when there are any. The status is not 0 when anything failed.
 */
import { Lab } from '../lab/lab.ts';
import { REPOSITORY } from '../lab/paths.ts';
import { failure, runAva } from './runner/ava.ts';
import { findTestFiles, NEEDS, type Needs, type TestFile } from './runner/files.ts';
import { leftBehind, present, RUN_VARIABLE } from './runner/leftovers.ts';
import { NEWER_NODE_TITLE, testNewerNode } from './runner/newer-node.ts';
import type { TapTest } from './runner/tap.ts';

const HEADINGS: Record<Needs, string> = {
  nothing: 'Tests that need nothing',
  root: 'Tests that need root and network namespaces',
  qemu: 'Tests that need QEMU',
};
const MARKS = { passed: '  ok    ', failed: '  FAILED', skipped: '  skip  ' } as const;

const tests: TapTest[] = [];
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

async function runFiles(files: readonly TestFile[]): Promise<void> {
  for (const needs of NEEDS) {
    const paths = files.filter(file => file.needs === needs).map(file => file.path);
    if (paths.length === 0) continue;
    print(`${HEADINGS[needs]}: ${paths.length} files`);
    await runAva({ repository: REPOSITORY, files: paths, onTest: report });
  }
}

async function runAll(patterns: readonly string[]): Promise<void> {
  const swept = Lab.sweep();
  if (swept.length > 0) print(`Removed labs whose owner is dead: ${swept.join(', ')}`);
  const before = present();
  await runFiles(findTestFiles(REPOSITORY, patterns));
  if (patterns.length === 0 || patterns.some(pattern => NEWER_NODE_TITLE.includes(pattern))) {
    const pure = findTestFiles(REPOSITORY, []).filter(file => file.needs === 'nothing');
    const paths = pure.map(file => file.path);
    report(await testNewerNode(REPOSITORY, paths));
  }
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
// The check for leftovers passes even when there was nothing to run.
if (tests.length <= 1) report(failure('the test run itself', 'no test matches'));
const failed = tests.filter(test => test.outcome === 'failed');
if (failed.length > 0) print('\nFailures:');
for (const test of failed) print([`  ${test.title}`, ...test.details].join('\n    '));
print(summary());
process.exitCode = failed.length > 0 ? 1 : 0;
