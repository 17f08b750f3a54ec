/** The main thread's side of the datapath: starts its thread, sends commands, passes events on. */
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { CurlingError } from '../common/errors.ts';
import type {
  AnswerMessage,
  CommandMessage,
  DatapathCommand,
  DatapathCommands,
  DatapathMessage,
  DatapathSetup,
} from './thread-messages.ts';

const WAKE = new Uint8Array(new BigUint64Array([1n]).buffer);

interface ThreadEvents {
  pending: [epoch: number];
  full: [epoch: number];
  guestMac: [tap: number, mac: string];
  /** Once, when the thread has ended although nobody stopped it. */
  failed: [CurlingError];
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: CurlingError): void;
}

export class DatapathThread extends EventEmitter<ThreadEvents> {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #onReady: Pending | undefined;
  #wakeFd = -1;
  #nextId = 1;
  #stopping = false;
  #ended: CurlingError | undefined;

  private constructor(setup: DatapathSetup) {
    super();
    // tsc rewrites the suffix of imports, not of this one: it names the compiled file.
    this.#worker = new Worker(new URL('./datapath-worker.js', import.meta.url), {
      workerData: setup,
    });
    this.#worker.on('message', (message: DatapathMessage) => this.#receive(message));
    this.#worker.on('error', error =>
      this.#end(new CurlingError('CURLING_DATAPATH', error.message, { cause: error })),
    );
    this.#exited = new Promise(resolve => {
      this.#worker.on('exit', () => {
        this.#end(new CurlingError('CURLING_DATAPATH', 'the datapath has ended'));
        resolve();
      });
    });
  }

  /**
   * Starts the thread and waits until its own taps are there.
   * @throws CurlingError of Datapath's constructor.
   */
  static async start(setup: DatapathSetup): Promise<DatapathThread> {
    const thread = new DatapathThread(setup);
    await new Promise((resolve, reject) => {
      thread.#onReady = { resolve, reject };
    });
    thread.#onReady = undefined;
    return thread;
  }

  /**
   * Executes one command in the thread.
   * @throws CurlingError of Datapath's method, CURLING_DATAPATH when the thread is gone.
   */
  execute<Name extends DatapathCommand>(
    command: Name,
    takes: DatapathCommands[Name]['takes'],
  ): Promise<DatapathCommands[Name]['gives']> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: value => resolve(value as never), reject });
      this.#worker.postMessage({ id, command, takes } satisfies CommandMessage);
      fs.writeSync(this.#wakeFd, WAKE);
    });
  }

  /** Ends the thread; what is held is gone, and so are the own taps. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (!this.#ended) await this.execute('stop', {}).catch(() => undefined);
    await this.#exited;
  }

  #receive(message: DatapathMessage): void {
    if ('event' in message) {
      if (message.event === 'pending') this.emit('pending', message.epoch);
      else if (message.event === 'full') this.emit('full', message.epoch);
      else if (message.event === 'guest-mac') this.emit('guestMac', message.tap, message.mac);
      else if (message.event === 'failed')
        this.#end(new CurlingError(message.error.code, message.error.message));
      else {
        this.#wakeFd = message.wakeFd;
        this.#onReady?.resolve(undefined);
      }
    } else this.#answered(message);
  }

  #answered(message: AnswerMessage): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if ('gives' in message) pending?.resolve(message.gives);
    else pending?.reject(new CurlingError(message.error.code, message.error.message));
  }

  #end(error: CurlingError): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#onReady?.reject(error);
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    if (!this.#stopping && !this.#onReady) this.emit('failed', error);
  }
}
