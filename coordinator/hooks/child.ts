/**
 * One run of one hook, in a process group of its own. It is over when the program has ended and nobody has its output
 * open any more, or at the bound; whatever is left in its group is killed then. What a hook moves into a session of its
 * own (setsid) is out of reach.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { messageOf } from '../../common/errors.ts';
import type { HookResult } from './messages.ts';

/** What is kept of a hook's output; the rest is read, counted and thrown away. */
export const OUTPUT_BYTES_MAX = 4096;

export interface HookRun {
  hook: string;
  environment: Record<string, string>;
  input: string;
  timeoutMs: number;
}

/** Ends a process group at once. One that is gone is no error. */
function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}

/**
 * Runs a hook to its end; never rejects.
 * @param onStart Gets what kills the run before its end.
 */
export function runHook(run: HookRun, onStart: (kill: () => void) => void): Promise<HookResult> {
  const startedMs = performance.now();
  const output = new Output();
  return new Promise(resolve => {
    let timedOut = false;
    let over = false;
    const end = (fault: string | undefined) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      killGroup(child?.pid);
      const elapsedMs = Math.round(performance.now() - startedMs);
      const result: HookResult = {
        type: 'result',
        hook: run.hook,
        timedOut,
        elapsedMs,
        ...output.take(),
      };
      resolve(fault === undefined ? result : { ...result, fault });
    };
    const child = start(run, end);
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child?.pid);
      // What has left the group may keep the output open; it is not waited for.
      for (const stream of [child?.stdout, child?.stderr]) stream?.destroy();
    }, run.timeoutMs);
    if (!child) return;
    onStart(() => killGroup(child.pid));
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => output.add(chunk));
    child.once('close', (status, signal) => {
      if (timedOut) end(`was ended after ${run.timeoutMs} ms`);
      else end(status === 0 ? undefined : `ended with ${signal ?? `status ${status}`}`);
    });
  });
}

/** Starts it; one that cannot be is over. */
function start(run: HookRun, end: (fault: string) => void): ChildProcess | undefined {
  const failed = (error: unknown) => end(`could not be started: ${messageOf(error)}`);
  try {
    const child = spawn(run.hook, [], {
      cwd: '/',
      detached: true,
      env: run.environment,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.once('error', failed);
    // A hook need not read what it is told.
    child.stdin!.on('error', () => {});
    child.stdin!.end(run.input);
    return child;
  } catch (error) {
    // Not at once: the caller is not ready yet.
    setImmediate(failed, error);
    return undefined;
  }
}

/** The first bytes of a stream, and how many more there were. */
class Output {
  readonly #kept: Buffer[] = [];
  #bytes = 0;
  #cutBytes = 0;

  add(chunk: Buffer): void {
    const kept = chunk.subarray(0, OUTPUT_BYTES_MAX - this.#bytes);
    if (kept.length > 0) this.#kept.push(kept);
    this.#bytes += kept.length;
    this.#cutBytes += chunk.length - kept.length;
  }

  take(): { output: string; cutBytes: number } {
    return { output: Buffer.concat(this.#kept).toString('utf8').trim(), cutBytes: this.#cutBytes };
  }
}
