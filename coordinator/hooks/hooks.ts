/**
 * The operator's hooks: programs that are run on every event that management tools are told. Events are taken at once
 * and passed on to a process of its own (runner.ts), one after the other; nothing here is ever waited for by what
 * protects the machine.
 *
 * Invariant: at most EVENTS_MAX events wait and one is with the runner. One more pushes out the oldest that waits.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import type net from 'node:net';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../common/errors.ts';
import { LimitedLog } from '../../common/limited-log.ts';
import type { Logger } from '../../common/log.ts';
import { LineSplitter } from '../../common/qmp/lines.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { hookNames } from './folder.ts';
import { type HookEvent, type HookResult, LINE_BYTES_MAX, type RunnerMessage } from './messages.ts';

/** Events that may wait; a failover makes about five. */
export const EVENTS_MAX = 64;
/** The most that the end of this process waits for hooks, however long one may run: systemd gives it 30 s in all. */
export const END_MS_MAX = 20_000;
const RUNNER = fileURLToPath(new URL('runner.js', import.meta.url));

/** What came of hooks since this process started. */
export interface HookCounters {
  /** Runs of a hook that are over. */
  run: number;
  /** Of these, the ones that did not end with status 0, or could not be started. */
  failed: number;
  /** Of these, the ones that were ended at the bound of their time; not counted as failed. */
  timedOut: number;
  /** Events that hooks were not told, or not all of them. */
  dropped: number;
}

export interface HooksOptions {
  /** Undefined: no hooks. */
  folder: string | undefined;
  /** The most that one run of one hook may take. */
  timeoutMs: number;
  /** Default END_MS_MAX. */
  endMsMax?: number;
  log: Logger;
}

export class Hooks {
  readonly counters: HookCounters = { run: 0, failed: 0, timedOut: 0, dropped: 0 };
  readonly #options: HooksOptions;
  readonly #untold: LimitedLog;
  readonly #waiting: HookEvent[] = [];
  /** The event that the runner has, or is to get. */
  #current: HookEvent | undefined;
  #runner: ChildProcess | undefined;
  #onIdle = () => {};
  #closed = false;

  constructor(options: HooksOptions) {
    this.#options = options;
    this.#untold = new LimitedLog(options.log);
  }

  /** Starts the runner if there is a hook, so that the first event need not wait for it. Never rejects. */
  async open(): Promise<void> {
    if (await this.#any()) this.#runner ??= this.#startRunner();
  }

  /** Takes an event; never throws, never waits. */
  take(event: string, data: JsonObject): void {
    if (this.#options.folder === undefined || this.#closed) return;
    this.#waiting.push({ time: new Date().toISOString(), event, data });
    if (this.#waiting.length > EVENTS_MAX) this.#drop(this.#waiting.shift(), 'too many wait');
    this.#next();
  }

  /**
   * Lets hooks hear what they were to hear, for the time of one run and at most `endMsMax`, and ends the rest. No event
   * is taken any more.
   */
  async close(): Promise<void> {
    this.#closed = true;
    const { timeoutMs, endMsMax = END_MS_MAX } = this.#options;
    if (this.#current) await this.#idleOr(Math.min(timeoutMs, endMsMax));
    const untold = [this.#current, ...this.#waiting.splice(0)];
    this.#current = undefined;
    for (const event of untold) this.#drop(event, 'this process ends');
    this.#runner?.stdin?.end();
    this.#runner = undefined;
  }

  async #idleOr(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>(resolve => {
      this.#onIdle = resolve;
      timer = setTimeout(resolve, timeoutMs);
    });
    clearTimeout(timer);
  }

  /** Whether there is anything that may be a hook. The runner looks closer. */
  async #any(): Promise<boolean> {
    const { folder } = this.#options;
    if (folder === undefined) return false;
    // A folder that cannot be read is the runner's to complain of.
    return fs.readdir(folder).then(
      names => hookNames(names).length > 0,
      error => error.code !== 'ENOENT',
    );
  }

  #next(): void {
    if (this.#current) return;
    this.#current = this.#waiting.shift();
    if (this.#current) void this.#send(this.#current);
    else this.#onIdle();
  }

  async #send(event: HookEvent): Promise<void> {
    if (!this.#runner && !(await this.#any())) return this.#done();
    if (this.#current !== event) return; // Closed meanwhile.
    this.#runner ??= this.#startRunner();
    if (this.#runner) this.#runner.stdin!.write(`${JSON.stringify(event)}\n`);
    else this.#giveUp('their runner could not be started');
  }

  #done(): void {
    this.#current = undefined;
    this.#next();
  }

  /** Undefined when it cannot be started. */
  #startRunner(): ChildProcess | undefined {
    const { folder, timeoutMs } = this.#options;
    try {
      // A group of its own: a signal from the terminal is not for it. Nothing of this environment either.
      const runner = spawn(process.execPath, [RUNNER, folder!, String(timeoutMs)], {
        detached: true,
        env: {},
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      runner.once('error', error => this.#lost(runner, messageOf(error)));
      runner.once('close', (status, signal) =>
        this.#lost(runner, `ended with ${signal ?? status}`),
      );
      const lines = new LineSplitter(LINE_BYTES_MAX);
      runner.stdout!.on('data', (chunk: Buffer) => {
        for (const line of lines.push(chunk)) this.#heard(JSON.parse(line) as RunnerMessage);
      });
      runner.stdin!.on('error', () => {});
      // This process may end before it, and it ends then.
      for (const handle of [runner, runner.stdin, runner.stdout]) (handle as net.Socket).unref();
      return runner;
    } catch (error) {
      this.#options.log.warn(`the runner of hooks could not be started: ${messageOf(error)}`);
      return undefined;
    }
  }

  #heard(message: RunnerMessage): void {
    if (message.type === 'done') this.#done();
    else if (message.type === 'result') this.#report(message);
    else this.#options.log.warn(`not run as a hook: ${message.text}`);
  }

  #report({ hook, fault, timedOut, elapsedMs, output, cutBytes }: HookResult): void {
    this.counters.run++;
    if (timedOut) this.counters.timedOut++;
    else if (fault) this.counters.failed++;
    const wrote = output === '' ? {} : { output, cutBytes };
    const data = { hook, event: this.#current?.event, elapsedMs, ...wrote };
    if (fault) this.#options.log.warn(data, `hook ${fault}`);
    else if (output !== '') this.#options.log.info(data, 'hook');
  }

  /** The runner has gone: the event that it had is given up, the next one gets another runner. */
  #lost(runner: ChildProcess, how: string): void {
    if (this.#runner !== runner) return;
    this.#runner = undefined;
    this.#giveUp(`their runner ${how}`);
  }

  #giveUp(why: string): void {
    this.#drop(this.#current, why);
    this.#done();
  }

  #drop(event: HookEvent | undefined, why: string): void {
    if (!event) return;
    this.counters.dropped++;
    this.#untold.say('warn', { event: event.event }, `hooks are not told: ${why}`);
  }
}
