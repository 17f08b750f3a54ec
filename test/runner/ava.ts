/** Runs AVA over some files and reports its tests one by one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { TapReader, type TapTest } from './tap.ts';

export interface AvaOptions {
  repository: string;
  files: readonly string[];
  /** The node to run on. Default this one. */
  node?: string;
  /** Added to its environment. */
  env?: NodeJS.ProcessEnv;
  /** Called for every test as it ends. */
  onTest: (test: TapTest) => void;
}

/** AVA has a limit for silence of its own (package.json); this one is for AVA itself. */
const RUN_MS_MAX = 45 * 60_000;

/**
 * Runs AVA to its end. Calls `onTest` once more, with a failure, when AVA ended badly without having said why, or ran
 * no test at all.
 */
export async function runAva(options: AvaOptions): Promise<void> {
  const counts = { failed: 0, total: 0 };
  const report = (test: TapTest) => {
    counts.total += 1;
    if (test.outcome === 'failed') counts.failed += 1;
    options.onTest(test);
  };
  const ended = await untilEnded(startAva(options), report);
  const title = `AVA over ${options.files.length} files`;
  if (counts.total === 0) report(failure(title, `ran no test (${ended})`));
  else if (ended !== 'status 0' && counts.failed === 0) report(failure(title, `ended: ${ended}`));
}

/** A failure that is no test's. */
export function failure(title: string, ...details: string[]): TapTest {
  return { title, outcome: 'failed', details: details.map(line => `  ${line}`) };
}

function startAva(options: AvaOptions): ChildProcess {
  const cli = join(options.repository, 'node_modules/ava/entrypoints/cli.mjs');
  return spawn(options.node ?? process.execPath, [cli, '--tap', '--serial', ...options.files], {
    cwd: options.repository,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', ...options.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function untilEnded(ava: ChildProcess, report: (test: TapTest) => void): Promise<string> {
  const reader = new TapReader();
  const timer = setTimeout(() => ava.kill('SIGKILL'), RUN_MS_MAX);
  ava.stdout!.setEncoding('utf8').on('data', (text: string) => reader.push(text).forEach(report));
  const [status, signal] = (await once(ava, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  reader.end().forEach(report);
  return signal ?? `status ${status}`;
}
