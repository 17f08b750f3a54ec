/** Proves that curling runs on a newer Node: all tests that need nothing of the machine, once more, as one test. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../common/errors.ts';
import { run } from '../../common/run.ts';
import { failure, runAva } from './ava.ts';
import type { TapTest } from './tap.ts';

/** npm's package with the binary that `npx node@24` runs. Kept in node_modules/.cache. */
const VERSION = '24.21.0';
const DOWNLOAD_MS_MAX = 300_000;
export const NEWER_NODE_TITLE = `newer node › everything that needs nothing passes on ${VERSION}`;

/** Runs AVA over `files` on the newer Node. Without a network it is skipped, except in CI, where it fails. */
export async function testNewerNode(repository: string, files: readonly string[]) {
  const title = NEWER_NODE_TITLE;
  if (Number(process.versions.node.split('.')[0]) >= Number(VERSION.split('.')[0]))
    return skip(title);
  let node: string;
  try {
    node = await newerNode(repository);
  } catch (error) {
    if (!process.env.CI) return skip(`${title} (cannot be fetched)`);
    return failure(title, ...messageOf(error).split('\n'));
  }
  const failures: TapTest[] = [];
  let passed = 0;
  const onTest = (test: TapTest) => {
    if (test.outcome === 'failed') failures.push(test);
    if (test.outcome === 'passed') passed += 1;
  };
  await runAva({ repository, files, node, onTest, env: { CURLING_BRIEF: '1' } });
  const details = failures.flatMap(test => [test.title, ...test.details]);
  if (failures.length > 0) return failure(title, ...details);
  return { title: `${title} (${passed} tests)`, outcome: 'passed', details: [] } satisfies TapTest;
}

function skip(title: string): TapTest {
  return { title, outcome: 'skipped', details: [] };
}

async function newerNode(repository: string): Promise<string> {
  const name = `node-linux-${process.arch}`;
  const folder = join(repository, 'node_modules/.cache', `node-${VERSION}`);
  const node = join(folder, 'node_modules', name, 'bin/node');
  if (!existsSync(node)) {
    const quiet = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const args = ['install', '--prefix', folder, ...quiet, `${name}@${VERSION}`];
    await run('npm', args, { timeoutMs: DOWNLOAD_MS_MAX });
  }
  return node;
}
