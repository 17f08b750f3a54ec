/** Runs AVA over some files and reports its tests one by one. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { pidsWithEnvironment } from '../../lab/processes.ts';
import { TapReader, type TapTest } from './tap.ts';

export interface AvaOptions {
  repository: string;
  files: readonly string[];
  /** The node to run on. Default this one. */
  node?: string;
  /** Added to its environment. */
  env?: NodeJS.ProcessEnv;
  /** Until this resolves it gets the processors only while nobody else wants them. Default: it is like all others. */
  inBackgroundUntil?: Promise<unknown>;
  /** Called for every test as it ends. */
  onTest: (test: TapTest) => void;
}

/** AVA has a limit for silence of its own (package.json); this one is for AVA itself. */
const RUN_MS_MAX = 60 * 60_000;
/** In the environment of what runs in the background. */
const BACKGROUND_VARIABLE = 'CURLING_TEST_BACKGROUND';

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
  const ava = options.inBackgroundUntil ? startInBackground(options) : startAva(options);
  const ended = await untilEnded(ava, report);
  const title = `AVA over ${options.files.length} files`;
  if (counts.total === 0) report(failure(title, `ran no test (${ended})`));
  else if (ended !== 'status 0' && counts.failed === 0) report(failure(title, `ended: ${ended}`));
}

/** A failure that is no test's. */
export function failure(title: string, ...details: string[]): TapTest {
  return { title, outcome: 'failed', details: details.map(line => `  ${line}`) };
}

function startAva(options: AvaOptions, before: readonly string[] = []): ChildProcess {
  const cli = join(options.repository, 'node_modules/ava/entrypoints/cli.mjs');
  const node = [...before, options.node ?? process.execPath];
  const [command = '', ...args] = [...node, cli, '--tap', '--serial', ...options.files];
  return spawn(command, args, {
    cwd: options.repository,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', ...options.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Under SCHED_IDLE: whatever else wakes up takes the processor at once, as if it had been idle. */
function startInBackground(options: AvaOptions): ChildProcess {
  const mark = randomUUID();
  const env = { ...options.env, [BACKGROUND_VARIABLE]: mark };
  const ava = startAva({ ...options, env }, ['chrt', '--idle', '0']);
  void options.inBackgroundUntil!.finally(() => {
    const pids = pidsWithEnvironment(`${BACKGROUND_VARIABLE}=${mark}`);
    for (const pid of pids) spawnSync('chrt', ['--all-tasks', '--other', '--pid', '0', `${pid}`]);
  });
  return ava;
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
