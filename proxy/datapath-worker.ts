/**
 * The thread of the datapath. It waits in epoll(7), at most 100 ms at once, because a thread inside a system call delays
 * the end of the process. It never goes back to its event loop: commands are taken from the port when the main thread
 * has written to the eventfd.
 */
import {
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from 'node:worker_threads';
import { asCurlingError, CurlingError } from '../common/errors.ts';
import { testStopFrom } from '../common/test-stop.ts';
import { Datapath } from './datapath.ts';
import type {
  CommandMessage,
  DatapathCommand,
  DatapathCommands,
  DatapathMessage,
  DatapathSetup,
} from './thread-messages.ts';
import { WakePoll } from './wake-poll.ts';

const WAIT_MS = 100;
const RETRY_MS = 1;

type Handlers = {
  [Name in DatapathCommand]: (
    takes: DatapathCommands[Name]['takes'],
  ) => DatapathCommands[Name]['gives'];
};

class DatapathThread {
  readonly #port: MessagePort;
  readonly #poll = new WakePoll();
  readonly #datapath: Datapath;
  readonly #handlers: Handlers;
  #running = true;

  constructor(port: MessagePort, setup: DatapathSetup) {
    this.#port = port;
    const stopAt = testStopFrom(process.env);
    this.#datapath = new Datapath(setup, event => this.#post(event), stopAt);
    this.#handlers = handlersOf(
      this.#datapath,
      () => this.#poll.pause(RETRY_MS),
      () => {
        this.#running = false;
      },
    );
    this.#post({ event: 'ready', wakeFd: this.#poll.wakeFd });
  }

  run(): void {
    const datapath = this.#datapath;
    for (const fd of datapath.captureFds) this.#poll.add(fd);
    for (let more = true; this.#running; ) {
      const idleMs = datapath.stalled ? RETRY_MS : WAIT_MS;
      this.#poll.wait(more || datapath.sending ? 0 : idleMs);
      if (more || this.#poll.readable) more = datapath.step();
      if (this.#poll.woken) {
        this.#takeCommands();
        more = true;
      }
      if (datapath.send()) more = true;
    }
    datapath.close();
    this.#poll.close();
  }

  #takeCommands(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (!received) return this.#tidy();
      const { id, command, takes } = received.message as CommandMessage;
      try {
        this.#post({ id, gives: this.#handlers[command](takes as never) });
      } catch (error) {
        if (!(error instanceof CurlingError)) throw error;
        this.#post({ id, error: { code: error.code, message: error.message } });
      }
    }
  }

  /** A tap that is gone has no path to leave; the watch on the links tells of it. */
  #tidy(): void {
    try {
      this.#datapath.tidy();
    } catch (error) {
      if (!(error instanceof CurlingError)) throw error;
    }
  }

  #post(message: DatapathMessage): void {
    this.#port.postMessage(message);
  }
}

function handlersOf(datapath: Datapath, pause: () => void, stop: () => void): Handlers {
  return {
    capture: ({ epoch }) => datapath.capture(epoch),
    seal: ({ epoch }) => datapath.seal(epoch),
    release: ({ epoch }) => datapath.release(epoch),
    discard: () => datapath.discard(),
    pass: () => datapath.pass(),
    passAll: () => datapath.passAll(pause),
    status: () => datapath.status(),
    counters: () => datapath.counters(),
    stop: () => {
      stop();
      return {};
    },
  };
}

function main(port: MessagePort): void {
  try {
    new DatapathThread(port, workerData as DatapathSetup).run();
  } catch (thrown) {
    const error = asCurlingError(thrown, 'CURLING_DATAPATH');
    const trace =
      thrown instanceof CurlingError || !(thrown instanceof Error) ? '' : `\n${thrown.stack}`;
    port.postMessage({
      event: 'failed',
      error: { code: error.code, message: `${error.message}${trace}` },
    } satisfies DatapathMessage);
  }
}

if (parentPort) main(parentPort);
