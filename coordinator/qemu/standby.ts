/**
 * The standby QEMU of a backup: waits in -incoming with the shadow RAM mapped, and becomes the guest when it is fed the
 * resume stream. All that can be done before a failover is done when it starts: the capability is set and the socket for
 * the stream listens, so a resume only connects and writes.
 *
 * It is started detached and lives on when this process dies: once resumed, it is the guest.
 */
import fs from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../../common/clock.ts';
import { asCurlingError, CurlingError, messageOf } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import type { QmpEvent } from '../../common/qmp/messages.ts';
import type { StopAt } from '../../common/test-stop.ts';
import { QemuChild } from './child.ts';
import { queryObject, queryRunning } from './qmp-queries.ts';
import { type StandbyDuty, type StandbyMemory, standbyArguments } from './standby-arguments.ts';
import { IGNORE_SHARED } from './stream-format.ts';

/** Disks are opened for writing when the guest runs, and not when its state is loaded. */
const LATE_DISKS = 'late-block-activate';

export interface StandbyOptions {
  /** The operator's command line for the guest, with the program, without -incoming. */
  argv: readonly string[];
  memory: StandbyMemory;
  /** What it is started for. Default `standby`. */
  duty?: StandbyDuty;
  /** Where QEMU's monitor will listen; a unix socket in a private folder, like `incomingPath`. */
  qmpPath: string;
  /** Where QEMU will wait for the resume stream. */
  incomingPath: string;
  /** What QEMU writes is appended here. */
  logPath: string;
  /** Milliseconds until QEMU's monitor must answer. Default 10,000. */
  startTimeoutMs?: number;
  /** Milliseconds that a resume, or a trial load, may take. Default 10,000. */
  resumeTimeoutMs?: number;
  /** Ends QEMU at once, at whatever it is. */
  signal?: AbortSignal;
}

/** Milliseconds since the call of `resume`. */
export interface ResumeDurations {
  /** QEMU has accepted the connection. */
  connectedMs: number;
  /** QEMU has been given the last byte. */
  fedMs: number;
  /** The guest runs. */
  runningMs: number;
}

export class Standby {
  readonly qmp: QmpClient;
  readonly #child: QemuChild;
  readonly #options: StandbyOptions;
  #mayHaveRun = false;

  private constructor(qmp: QmpClient, child: QemuChild, options: StandbyOptions) {
    this.qmp = qmp;
    this.#child = child;
    this.#options = options;
  }

  /**
   * Starts QEMU and makes it ready for `resume`.
   * @throws CurlingError CURLING_QEMU_START when it ends, or does not answer in time; with what it wrote
   */
  static async start(options: StandbyOptions): Promise<Standby> {
    const { argv, memory, qmpPath, incomingPath } = options;
    const full = standbyArguments(argv, memory, qmpPath, options.duty);
    for (const path of [qmpPath, incomingPath]) fs.rmSync(path, { force: true });
    let child: QemuChild | undefined;
    try {
      child = new QemuChild(full, options.logPath);
      killOn(options.signal, child);
      const qmp = await monitorOf(child, qmpPath, options.startTimeoutMs ?? 10_000);
      await qmp.execute('migrate-set-capabilities', {
        capabilities: [
          { capability: IGNORE_SHARED, state: true },
          { capability: 'events', state: true },
          ...(options.duty === 'drill' ? [{ capability: LATE_DISKS, state: true }] : []),
        ],
      });
      await qmp.execute('migrate-incoming', { uri: `unix:${incomingPath}` });
      return new Standby(qmp, child, options);
    } catch (error) {
      await child?.kill();
      if (error instanceof CurlingError && error.code === 'CURLING_QEMU_START') throw error;
      const what = options.duty === 'drill' ? 'the QEMU of the drill' : 'the standby QEMU';
      const text = `${what} (${argv.join(' ')}) ${messageOf(error)}${quote(child)}`;
      throw new CurlingError('CURLING_QEMU_START', text, { cause: error });
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Resolves with the words for how QEMU ended, once it has. */
  get exited(): Promise<string> {
    return this.#child.exited;
  }

  /**
   * Whether the guest may have run: then the shadow is no checkpoint any more, and no other standby may begin on it.
   */
  get mayHaveRun(): boolean {
    return this.#mayHaveRun;
  }

  /**
   * Feeds the stream of encodeResume and returns when the guest runs. For a standby.
   * @param aboutToRun Called when all is loaded, before the guest's first instruction.
   * @param stopAt For tests.
   * @throws CurlingError CURLING_QEMU_RESUME with what QEMU wrote; the standby is of no use then: kill it
   */
  async resume(
    stream: readonly Buffer[],
    aboutToRun: () => void = () => {},
    stopAt: StopAt = () => {},
  ): Promise<ResumeDurations> {
    const start = monotonicClock.now();
    const elapsed = () => monotonicClock.now() - start;
    try {
      const marks = await this.#feed(stream, elapsed, stopAt);
      aboutToRun();
      this.#mayHaveRun = true;
      await this.qmp.execute('cont').catch(error => {
        // Refused, so it has not run: a disk whose lock another QEMU still has, for one.
        if (asCurlingError(error).code === 'CURLING_COMMAND_FAILED') this.#mayHaveRun = false;
        throw error;
      });
      stopAt('running');
      const runningMs = elapsed();
      if (!(await queryRunning(this.qmp))) throw new Error('the guest was stopped again at once');
      return { ...marks, runningMs };
    } catch (error) {
      throw await this.#refusal('the standby QEMU did not become the guest', error);
    }
  }

  /**
   * Feeds the stream of encodeResume and returns when QEMU has loaded all of it and is paused. For a trial; the QEMU is
   * of no further use: kill it.
   * @throws CurlingError CURLING_QEMU_RESUME with what QEMU wrote
   */
  async load(stream: readonly Buffer[]): Promise<void> {
    try {
      await this.#feed(
        stream,
        () => 0,
        () => {},
      );
    } catch (error) {
      throw await this.#refusal('the state of the guest cannot be loaded here', error);
    }
  }

  /** Writes the stream to QEMU and returns when it has loaded all of it; the guest is paused then. */
  async #feed(stream: readonly Buffer[], elapsed: () => number, stopAt: StopAt) {
    const marks = { connectedMs: 0, fedMs: 0 };
    const socket = net.connect({ path: this.#options.incomingPath });
    const timeoutMs = this.#options.resumeTimeoutMs ?? 10_000;
    let onEvent: ((event: QmpEvent) => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const fail = (why: string) => reject(new Error(why));
        timer = setTimeout(() => fail(`its state was not loaded in ${timeoutMs} ms`), timeoutMs);
        onEvent = ({ event, data }) => {
          if (event !== 'MIGRATION') return;
          if (data.status === 'completed') resolve();
          else if (data.status === 'failed') fail('loading failed');
        };
        this.qmp.on('event', onEvent);
        void this.#child.exited.then(fail);
        socket.on('error', error => fail(`its incoming socket: ${error.message}`));
        socket.on('connect', () => {
          marks.connectedMs = elapsed();
          stopAt('loading');
        });
        socket.cork();
        for (const piece of stream) socket.write(piece);
        socket.end(() => {
          marks.fedMs = elapsed();
        });
        socket.uncork();
      });
      stopAt('loaded');
      // The last moment at which a QEMU that died can be told from one that died after it ran.
      const { status } = await queryObject(this.qmp, 'query-status');
      if (status !== 'paused')
        throw new Error(`expected a paused guest, got one that is ${status}`);
      return marks;
    } finally {
      clearTimeout(timer);
      if (onEvent) this.qmp.off('event', onEvent);
      socket.destroy();
    }
  }

  /** QEMU says why in its last lines, which it writes before it ends. */
  async #refusal(what: string, error: unknown): Promise<CurlingError> {
    if (!this.#child.exit) await Promise.race([this.#child.exited, sleep(200)]);
    const text = `${what}: ${messageOf(error)}${quote(this.#child)}`;
    return new CurlingError('CURLING_QEMU_RESUME', text, { cause: error });
  }

  /**
   * Lets the guest's network cards say where they are now, `rounds` times, 50 ms apart and then ever longer.
   * @throws CurlingError as QmpClient.execute
   */
  async announce(rounds = 5): Promise<void> {
    await this.qmp.execute('announce-self', { initial: 50, max: 550, rounds, step: 100 });
  }

  /** Ends QEMU at once, and with it the guest if it has become one. */
  async kill(): Promise<void> {
    this.qmp.close();
    // Now, not when it has ended: by then its successor may listen there.
    const { qmpPath, incomingPath } = this.#options;
    for (const path of [qmpPath, incomingPath]) fs.rmSync(path, { force: true });
    await this.#child.kill();
  }
}

function killOn(signal: AbortSignal | undefined, child: QemuChild): void {
  const kill = () => void child.kill();
  if (signal?.aborted) kill();
  else signal?.addEventListener('abort', kill, { once: true });
}

/** Connects to the monitor as soon as it listens. */
async function monitorOf(child: QemuChild, path: string, timeoutMs: number): Promise<QmpClient> {
  const deadline = monotonicClock.now() + timeoutMs;
  for (;;) {
    if (child.exit) throw new Error(child.exit);
    try {
      if (fs.existsSync(path)) return await QmpClient.connect(path);
    } catch (error) {
      if (!(error instanceof CurlingError && error.code === 'CURLING_CONNECT')) throw error;
    }
    if (monotonicClock.now() > deadline)
      throw new Error(`has no monitor after ${timeoutMs} ms at ${path}`);
    await sleep(10);
  }
}

function quote(child: QemuChild | undefined): string {
  const said = child?.said();
  return said ? `; it wrote: ${said}` : '';
}
