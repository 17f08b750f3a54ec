/**
 * The frame of the lab's client processes. Each writes JSON lines to stdout: one `ready`, then
 * `progress` now and then, `lost` when its connection is gone, and one `summary` at the end. It
 * ends in order on SIGTERM or SIGINT, on the line `stop`, and when a pipe on its stdin is closed.
 * Every other line of stdin is a command of the client's own.
 */
import { fstatSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { asCurlingError } from '../../common/errors.ts';
import { type CommandLine, type CommandSpec, wholeNumber } from '../../common/options.ts';
import { runProgram, untilTerminated } from '../../common/program.ts';
import { LineSplitter } from '../../common/qmp/lines.ts';
import { wallMs } from './wall-clock.ts';

export type Facts = Record<string, unknown>;

/** A client at work. */
export interface Worker {
  /** What it is doing now; asked every progress interval. */
  progress(): Facts;
  /** Ends it and says what it saw. Called once. */
  stop(): Promise<Facts>;
  /** A line of stdin other than `stop`; the answer is written as a `progress` line. */
  command?(words: string[]): Promise<Facts> | Facts;
  /** Settles when it has nothing more to do. */
  done?: Promise<unknown>;
  /** Settles with the reason when its one connection is lost. */
  lost?: Promise<string>;
}

/** True when the module with this `import.meta.url` is the program that Node was asked to run. */
export function ranDirectly(moduleUrl: string): boolean {
  const script = process.argv[1];
  return script !== undefined && realpathSync(script) === fileURLToPath(moduleUrl);
}

/** Writes one JSON line to stdout. */
export function say(type: string, facts: Facts): void {
  process.stdout.write(`${JSON.stringify({ type, atMs: wallMs(), ...facts })}\n`);
}

/** Runs a client as a process of its own. `start` returns when it is ready. */
export function runWorker(
  spec: CommandSpec,
  start: (line: CommandLine) => Promise<Worker>,
): Promise<void> {
  spec.options.progress = {
    type: 'string',
    value: 'MS',
    default: '500',
    help: 'milliseconds between progress lines, 0 for none',
  };
  return runProgram(spec, async line => {
    const intervalMs = wholeNumber('progress', line.values.progress, 0, 3_600_000);
    const terminated = untilTerminated();
    const worker = await start(line);
    say('ready', { pid: process.pid });
    const timer =
      intervalMs > 0
        ? setInterval(() => say('progress', worker.progress()), intervalMs)
        : undefined;
    let ending = false;
    worker.lost?.then(reason => {
      if (!ending) say('lost', { reason });
    });
    await Promise.race([terminated, worker.done ?? new Promise(() => {}), stdinEnds(worker)]);
    ending = true;
    clearInterval(timer);
    say('summary', await worker.stop());
    process.stdin.destroy();
    return 0;
  });
}

/**
 * Hands the lines of stdin to the worker; resolves on `stop` and when a pipe or terminal is
 * closed.
 */
function stdinEnds(worker: Worker): Promise<void> {
  const stat = fstatSync(0);
  const splitter = new LineSplitter(4096);
  return new Promise(resolve => {
    // A file or /dev/null has ended before it began: that says nothing.
    if (!stat.isFIFO() && !stat.isSocket() && !process.stdin.isTTY) return;
    let tail: Promise<void> = Promise.resolve();
    const end = () => tail.then(resolve);
    process.stdin.on('end', end);
    process.stdin.on('error', end);
    process.stdin.on('data', (chunk: Buffer) => {
      try {
        for (const text of splitter.push(chunk)) {
          if (text === 'stop') end();
          else tail = tail.then(() => obey(worker, text));
        }
      } catch {
        end(); // A line without end: whoever writes it is not the lab.
      }
    });
  });
}

/** Commands are obeyed one after the other, so that answers come in their order. */
async function obey(worker: Worker, text: string): Promise<void> {
  try {
    const answer = await worker.command?.(text.split(/\s+/));
    if (answer) say('answer', answer);
    else say('error', { error: `no such command: ${text}` });
  } catch (error) {
    say('error', { error: asCurlingError(error).message });
  }
}
