/** Finds the test files and the order in which they run: what fails in a second comes before what takes a minute. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What a file's tests need: nothing but processors, for minutes; nothing; root and network namespaces; root and a QEMU.
 */
export const NEEDS = ['time', 'nothing', 'root', 'qemu'] as const;
export type Needs = (typeof NEEDS)[number];

export interface TestFile {
  /** Below the repository, with `/`. */
  path: string;
  needs: Needs;
}

/** Searches without a clock or a socket: how fast they are changes nothing but how long they take. */
const SEARCHES: readonly string[] = ['test/model/model.test.ts', 'test/sim/simulation.test.ts'];

/** Inside a quoted text: "needs" and the words up to the next punctuation, or one of them and a colon at its start. */
const TITLE_NEEDS = /['"`](?:[^'"`\n]*\bneeds ([a-z, ]*)|((?:root|namespaces?|qemu): ))/gi;

/**
 * What a test file needs, from its source: a title says so by "needs root", "needs namespaces" or "needs QEMU" anywhere
 * (or a list: "needs root, QEMU"), or begins with "root: "; or the file imports what starts guests or labs.
 */
export function needsOf(source: string): Needs {
  const titled = [...source.matchAll(TITLE_NEEDS)].map(match => match[1] ?? match[2]).join(' ');
  if (/\bqemu\b/i.test(titled) || /^import .*\/lab\/qemu\.ts';$/m.test(source)) return 'qemu';
  if (/\b(root|namespaces?)\b/i.test(titled) || /^import .*\/lab\/lab\.ts';$/m.test(source))
    return 'root';
  return 'nothing';
}

/** The test files below `test/` whose path contains one of the patterns (all, without patterns), in running order. */
export function findTestFiles(repository: string, patterns: readonly string[]): TestFile[] {
  const names = readdirSync(join(repository, 'test'), { recursive: true, encoding: 'utf8' });
  const paths = names
    .map(name => `test/${name.replaceAll('\\', '/')}`)
    .filter(path => path.endsWith('.test.ts'))
    .filter(path => patterns.length === 0 || patterns.some(pattern => path.includes(pattern)))
    .sort();
  const files = paths.map(path => ({
    path,
    needs: SEARCHES.includes(path)
      ? ('time' as const)
      : needsOf(readFileSync(join(repository, path), 'utf8')),
  }));
  return NEEDS.flatMap(needs => files.filter(file => file.needs === needs));
}
