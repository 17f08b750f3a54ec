/**
 * Captures what comes in on a port of the outer bridge, with tcpdump, and vouches for its
 * completeness.
 */
import type { ChildProcess } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ObserverError } from './observer-error.ts';

/**
 * Starts a program in the namespace where the port is, as node:child_process.spawn does with
 * `stdio: ['ignore', 'ignore', 'pipe']`. A wrapper such as `ip netns exec` must hand signals on,
 * or replace itself.
 */
export type SpawnFunction = (command: string, args: readonly string[]) => ChildProcess;

export interface CaptureOptions {
  spawn: SpawnFunction;
  port: string;
  /** Where the pcap file is written. */
  file: string;
  /** Of the kernel's ring, in KiB. Default 16,384. */
  bufferKib?: number;
  /** Longer frames are captured in part. The kernel's ring has a slot of this size for each frame. Default 262,144. */
  frameBytesMax?: number;
  /** A pcap-filter(7) expression: leave out long transfers, for one. */
  filter?: string;
}

export interface CaptureResult {
  port: string;
  file: string;
  /** Frames written. */
  captured: number | undefined;
  /** Frames the kernel or the interface dropped; undefined when tcpdump could not say it. */
  dropped: number | undefined;
}

const STARTED_TIMEOUT_MS = 10_000;
const STOPPED_TIMEOUT_MS = 5000;
const STDERR_BYTES_MAX = 65_536;
const FILE_HEADER_BYTES = 24;

/**
 * Starts a capture; it runs when this returns.
 * @throws ObserverError when tcpdump is missing, refuses, or does not start in time.
 */
export async function startCapture(options: CaptureOptions): Promise<Capture> {
  const { port, file, bufferKib = 16_384, frameBytesMax = 0, filter } = options;
  const child = options.spawn('tcpdump', [
    ...['-i', port, '-Q', 'in', '-s', String(frameBytesMax), '-n', '-U', '--immediate-mode'],
    ...['--time-stamp-precision=nano', '-B', String(bufferKib), '-Z', 'root', '-w', file],
    ...(filter ? [filter] : []),
  ]);
  const capture = new Capture(child, port, file);
  try {
    await capture.started();
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return capture;
}

export class Capture {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly port: string;
  readonly file: string;
  #said = '';
  #ended = false;

  constructor(child: ChildProcess, port: string, file: string) {
    this.#child = child;
    this.port = port;
    this.file = file;
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString('utf8')).slice(-STDERR_BYTES_MAX);
    });
    this.#exited = new Promise(resolve => {
      child.on('error', error => {
        this.#said += error.message;
        this.#ended = true;
        resolve();
      });
      child.on('close', () => {
        this.#ended = true;
        resolve();
      });
    });
  }

  /** The process, for those who have to clean up after a crash. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Resolves when the capture is open and its file has a header. @throws ObserverError */
  async started(): Promise<void> {
    const until = performance.now() + STARTED_TIMEOUT_MS;
    while (!/listening on /.test(this.#said) || (await this.#fileBytes()) < FILE_HEADER_BYTES) {
      if (this.#ended) throw new ObserverError(`tcpdump on ${this.port}: ${this.#said.trim()}`);
      if (performance.now() > until)
        throw new ObserverError(`tcpdump on ${this.port} did not start: ${this.#said.trim()}`);
      await sleep(10);
    }
  }

  /**
   * Waits until the file has not grown for `quietMs` (at most ten times as long), ends the
   * capture and reads its own account of it. End the traffic first.
   */
  async stop(quietMs = 100): Promise<CaptureResult> {
    let before = -1;
    for (let i = 0; i < 10 && !this.#ended; i++) {
      const bytes = await this.#fileBytes();
      if (bytes === before) break;
      before = bytes;
      await sleep(quietMs);
    }
    this.#child.kill('SIGINT');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOPPED_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
    return { port: this.port, file: this.file, ...accountOf(this.#said) };
  }

  async #fileBytes(): Promise<number> {
    return stat(this.file).then(
      status => status.size,
      () => 0,
    );
  }
}

/** What tcpdump says at its end: frames captured, and frames dropped by kernel and interface. */
export function accountOf(said: string): Pick<CaptureResult, 'captured' | 'dropped'> {
  const number = (pattern: RegExp) => {
    const match = pattern.exec(said);
    return match ? Number(match[1]) : undefined;
  };
  const byKernel = number(/(\d+) packets? dropped by kernel/);
  const byInterface = number(/(\d+) packets? dropped by interface/) ?? 0;
  return {
    captured: number(/(\d+) packets? captured/),
    dropped: byKernel === undefined ? undefined : byKernel + byInterface,
  };
}
