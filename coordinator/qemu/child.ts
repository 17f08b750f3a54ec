/**
 * A QEMU process that outlives its starter: detached, its output in a log file, killed only when asked. What it wrote
 * last is kept at hand for error messages.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { messageOf } from '../../common/errors.ts';

/** What an error message quotes of a log, at the most. */
const TAIL_BYTES = 2_000;

export class QemuChild {
  /** Resolves with the words for how it ended, once. */
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;
  readonly #logPath: string;
  /** Where this process's output begins in the log. */
  readonly #logStart: number;
  #exit: string | undefined;

  /** Starts `argv`; its output is appended to the file `logPath`. */
  constructor(argv: readonly string[], logPath: string) {
    const [program = '', ...args] = argv;
    const log = fs.openSync(logPath, 'a', 0o600);
    this.#logPath = logPath;
    this.#logStart = fs.fstatSync(log).size;
    try {
      this.#child = spawn(program, args, { detached: true, stdio: ['ignore', log, log] });
    } finally {
      fs.closeSync(log);
    }
    this.exited = new Promise(resolve => {
      const end = (how: string) => {
        this.#exit ??= how;
        resolve(this.#exit);
      };
      this.#child.once('error', error => end(`could not be started: ${messageOf(error)}`));
      this.#child.once('exit', (status, signal) =>
        end(`ended with ${signal ?? `status ${status}`}`),
      );
    });
    this.#child.unref();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How it ended; undefined while it runs. */
  get exit(): string | undefined {
    return this.#exit;
  }

  /** The end of what it wrote. */
  said(): string {
    try {
      const log = fs.openSync(this.#logPath, 'r');
      try {
        const { size } = fs.fstatSync(log);
        const from = Math.max(this.#logStart, size - TAIL_BYTES);
        const tail = Buffer.alloc(Math.max(0, size - from));
        fs.readSync(log, tail, 0, tail.length, from);
        return tail.toString('utf8').trim();
      } finally {
        fs.closeSync(log);
      }
    } catch (error) {
      return `(its log ${this.#logPath} cannot be read: ${messageOf(error)})`;
    }
  }

  /** Kills it and its process group, and returns when it is gone. */
  async kill(): Promise<void> {
    if (this.#exit === undefined && this.pid !== undefined) {
      try {
        process.kill(-this.pid, 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
      this.#child.ref();
    }
    await this.exited;
  }
}
