/**
 * One machine as the supervisor sees it: its thread, and what becomes of it.
 *
 *   state     thread   leaves by
 *   starting  there    it serves → serving; it ends → waiting, wrong or ended
 *   serving   there    it ends → waiting, or ended when it was told to
 *   waiting   none     the back-off is over, or a reload → starting; end() → ended
 *   wrong     none     its configuration is: a reload → starting; end() → ended
 *   ended     none
 *
 * A thread that makes no progress is ended from outside, as the service manager ends a process; the others go on.
 */
import { Worker } from 'node:worker_threads';
import { monotonicClock } from '../../common/clock.ts';
import { asCurlingError, messageOf } from '../../common/errors.ts';
import type { Logger } from '../../common/log.ts';
import type { CommandLine } from '../../common/options.ts';
import { GatewayProbe } from '../gateway-probe.ts';
import { END_MS_MAX as HOOKS_END_MS_MAX } from '../hooks/hooks.ts';
import { clearSlot } from '../replication/link-share.ts';
import type { CoordinatorStatus } from '../status.ts';
import { BackOff } from './back-off.ts';
import type { MetricDocument } from './merged-metrics.ts';
import type { FromThread, ThreadData, ToThread } from './messages.ts';
import { GatewaySource } from './shared-gateway.ts';
import { hasTestFaults } from './test-fault.ts';

/** A thread that says nothing for so long hangs: main.ts gives a process's queue as long. */
const SILENT_MS_MAX = 30_000;
/** In a test of that. */
const SILENT_TEST_MS_MAX = 3_000;
/** For an end in good order: what protects has ended long before, hooks may take their time. */
const END_MS_MAX = HOOKS_END_MS_MAX + 4_000;
const ANSWER_MS_MAX = 2_000;
/** JavaScript's own memory; pages and streams lie outside of it. A thread that needs more is broken, and ends alone. */
const HEAP_MIB_MAX = 256;
const ENTRY = new URL('thread.js', import.meta.url);

export const THREAD_STATES = ['starting', 'serving', 'waiting', 'wrong', 'ended'] as const;
export type ThreadState = (typeof THREAD_STATES)[number];

export interface ThreadModules {
  line: CommandLine;
  log: Logger;
  /** As ThreadData. */
  link: ThreadData['link'];
}

/** What there is to be asked of a thread. */
interface Answers {
  metrics: MetricDocument[];
  document: CoordinatorStatus;
}

export class MachineThread {
  readonly vm: string;
  /** Times that it was started again after it ended by itself. */
  restarts = 0;
  readonly #modules: ThreadModules;
  readonly #log: Logger;
  readonly #backOff = new BackOff();
  readonly #asked = new Map<number, (answer: FromThread & { type: 'answer' }) => void>();
  #state: ThreadState = 'ended';
  #summary = 'not started';
  #httpPath: string | undefined;
  #worker: Worker | undefined;
  #gateway: GatewaySource | undefined;
  #heardAt = 0;
  #progress = true;
  #ending = false;
  /** It was ended from outside. */
  #forced = false;
  #nextId = 0;
  #timer: NodeJS.Timeout | undefined;
  #exited = Promise.resolve();
  /** Why it ended by itself, as far as it could say so. */
  #lastWords: { text: string; lasting: boolean } | undefined;
  #fault: string | undefined;

  constructor(vm: string, modules: ThreadModules) {
    this.vm = vm;
    this.#modules = modules;
    this.#log = modules.log.child({ vm });
  }

  /** Its slot of the link. */
  get slot(): number {
    return this.#modules.link.slot;
  }

  get state(): ThreadState {
    return this.#state;
  }

  /** One line for a reader. */
  get summary(): string {
    return this.#summary;
  }

  /** Where its page is served; undefined while it is not. */
  get httpPath(): string | undefined {
    return this.#state === 'serving' ? this.#httpPath : undefined;
  }

  /** Whether the work goes on, or need not. */
  get progress(): boolean {
    const silentMs = monotonicClock.now() - this.#heardAt;
    const silentMsMax = hasTestFaults() ? SILENT_TEST_MS_MAX : SILENT_MS_MAX;
    return !this.#worker || (this.#progress && silentMs < silentMsMax);
  }

  /** Starts it, unless it runs. */
  start(): void {
    if (this.#worker) return;
    clearTimeout(this.#timer);
    this.#ending = false;
    this.#forced = false;
    const reason = this.#fault;
    const { restarts } = this;
    const { line, link } = this.#modules;
    const fault = reason === undefined ? undefined : { reason, restarts };
    const data: ThreadData = { vm: this.vm, line, link, fault };
    const worker = new Worker(ENTRY, {
      workerData: data,
      name: this.vm,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    });
    this.#worker = worker;
    this.#state = 'starting';
    this.#summary = 'starting';
    this.#progress = true;
    this.#lastWords = undefined;
    this.#heardAt = monotonicClock.now();
    this.#backOff.started(this.#heardAt);
    worker.on('message', (message: FromThread) => this.#heard(message));
    worker.on('error', error => {
      const stack = error instanceof Error ? error.stack : undefined;
      this.#log.fatal({ code: asCurlingError(error).code, stack }, messageOf(error));
      this.#lastWords = { text: messageOf(error), lasting: false };
    });
    this.#exited = new Promise(resolve => {
      worker.once('exit', status => {
        this.#gone(status);
        resolve();
      });
    });
  }

  /** Reads its configuration again; one that waits is tried at once. */
  reload(): void {
    if (this.#worker) this.#tell({ type: 'reload' });
    else this.start();
  }

  /** Ends it in good order, at the latest by force; a guest that runs here runs on. */
  async end(): Promise<void> {
    this.#ending = true;
    clearTimeout(this.#timer);
    this.#state = this.#worker ? this.#state : 'ended';
    const worker = this.#worker;
    if (!worker) return;
    this.#tell({ type: 'end' });
    const late = setTimeout(() => void worker.terminate(), END_MS_MAX);
    await this.#exited;
    clearTimeout(late);
  }

  /** Ends a thread that makes no progress; it is started again as one that ended by itself. */
  endIfStuck(): void {
    if (this.progress || this.#forced) return;
    this.#forced = true;
    this.#log.fatal('no progress: the thread of this machine is ended');
    this.#lastWords = { text: 'it made no progress', lasting: false };
    void this.#worker?.terminate();
  }

  /** Undefined when it does not answer soon. */
  ask<What extends keyof Answers>(what: What): Promise<Answers[What] | undefined> {
    if (this.#state !== 'serving') return Promise.resolve(undefined);
    const id = ++this.#nextId;
    return new Promise(resolve => {
      const timer = setTimeout(() => {
        this.#asked.delete(id);
        resolve(undefined);
      }, ANSWER_MS_MAX);
      this.#asked.set(id, answer => {
        clearTimeout(timer);
        resolve('value' in answer ? (answer.value as Answers[What]) : undefined);
      });
      this.#tell({ type: 'ask', id, what });
    });
  }

  #tell(message: ToThread): void {
    this.#worker?.postMessage(message);
  }

  #heard(message: FromThread): void {
    this.#heardAt = monotonicClock.now();
    switch (message.type) {
      case 'serving':
        this.#state = 'serving';
        this.#httpPath = message.httpPath;
        this.#summary = 'serving';
        return;
      case 'beat':
        this.#summary = message.summary;
        this.#progress = message.progress;
        return;
      case 'failed':
        this.#lastWords = { text: `${message.code}: ${message.text}`, lasting: message.lasting };
        return;
      case 'answer':
        this.#asked.get(message.id)?.(message);
        this.#asked.delete(message.id);
        return;
      case 'gateways':
        void this.#openGateway(message.addresses);
        return;
      case 'probe':
        this.#gateway?.probe();
    }
  }

  async #openGateway(addresses: readonly string[]): Promise<void> {
    const worker = this.#worker;
    try {
      const probe = await GatewayProbe.open(addresses, monotonicClock, this.#log);
      const source = new GatewaySource(probe);
      if (worker !== this.#worker) return source.close();
      this.#gateway = source;
      this.#tell({ type: 'gateways', shared: source.shared });
    } catch (error) {
      const { code, message } = asCurlingError(error);
      this.#tell({ type: 'gateways', code, text: message });
    }
  }

  #gone(status: number): void {
    this.#worker = undefined;
    this.#gateway?.close();
    this.#gateway = undefined;
    for (const [id, answer] of this.#asked) answer({ type: 'answer', id, error: 'it has ended' });
    this.#asked.clear();
    const { memory, slot } = this.#modules.link;
    clearSlot(memory, slot);
    if (this.#ending) {
      this.#state = 'ended';
      this.#summary = 'ended';
      return;
    }
    const { text, lasting } = this.#lastWords ?? {
      text: `its thread ended with status ${status}`,
      lasting: false,
    };
    this.#fault = text;
    this.restarts++;
    if (lasting) {
      this.#state = 'wrong';
      this.#summary = `${text}; tried again on SIGHUP`;
      return this.#log.error(this.#summary);
    }
    const waitMs = this.#backOff.ended(monotonicClock.now());
    this.#state = 'waiting';
    this.#summary = `${text}; started again after ${waitMs / 1_000} s`;
    this.#log.error({ restarts: this.restarts }, this.#summary);
    this.#timer = setTimeout(() => this.start(), waitMs);
  }
}
