/**
 * Tells the guest's services what to do and fetches what they remember; lab/guest/workload.c
 * describes the commands.
 *
 * As a process: `control.js --guest IP 'records start 100 10.0.0.1 5000' 'cas history'`
 * answers with an `answer` line for each command and ends; without commands it takes them from
 * stdin, one a line, until that ends.
 */
import type { Socket } from 'node:net';
import { CurlingError } from '../../common/errors.ts';
import { requiredText, wholeNumber } from '../../common/options.ts';
import { type History, parseHistory } from '../observer/history.ts';
import { type Answer, AnswerStream } from './answer-stream.ts';
import { connectOnce, untilLost } from './connect.ts';
import { type Facts, ranDirectly, runWorker, say, type Worker } from './worker.ts';

/** Control ports before the port base is added. */
export const CONTROL_PORTS = {
  all: 1000,
  records: 1001,
  cas: 1002,
  dirty: 1003,
  streams: 1004,
  build: 1005,
} as const;
/** Service ports before the port base is added. */
export const SERVICE_PORTS = { echo: 7, random: 8, sink: 9, bulk: 19, work: 21 } as const;

export type ServiceName = keyof typeof CONTROL_PORTS;

export interface GuestAddress {
  host: string;
  /** The guest program's port-base word. Default 0. */
  portBase?: number;
}

/** More than `last` of any service can be. */
const TO_THE_LAST = Number.MAX_SAFE_INTEGER;
const ANSWER_TIMEOUT_MS = 10_000;

/** A connection to one control port; commands are answered in their order. */
export class ControlClient {
  readonly #socket: Socket;
  readonly #answers = new AnswerStream();
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];

  /** @throws CurlingError CURLING_CONNECT */
  static async connect(guest: GuestAddress, service: ServiceName): Promise<ControlClient> {
    const port = (guest.portBase ?? 0) + CONTROL_PORTS[service];
    return new ControlClient(await connectOnce({ host: guest.host, port }));
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    untilLost(socket, chunk => this.#receive(chunk)).then(reason =>
      this.#fail(
        new CurlingError('CURLING_CONNECTION_LOST', `the guest's control port: ${reason}`),
      ),
    );
  }

  /**
   * Runs one command, e.g. `start 100 10.0.0.1 5000`.
   * @throws CurlingError CURLING_COMMAND_FAILED when the guest refuses it, CURLING_TIMEOUT,
   *   CURLING_CONNECTION_LOST, CURLING_MESSAGE.
   */
  async command(text: string): Promise<Answer> {
    const answer = await this.#ask(text);
    if (typeof answer.facts.error === 'string')
      throw new CurlingError('CURLING_COMMAND_FAILED', `${text}: ${answer.facts.error}`);
    return answer;
  }

  /** What the service still has of [from, to]. Stop the service first. */
  async history(from = 1, to = TO_THE_LAST): Promise<History> {
    const { facts, block } = await this.command(`history ${from} ${to}`);
    return parseHistory(facts, block);
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(text: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed || this.#socket.readableEnded)
        return reject(new CurlingError('CURLING_CONNECTION_LOST', 'the control port is closed'));
      const timer = setTimeout(() => {
        this.#fail(new CurlingError('CURLING_TIMEOUT', `${text}: no answer from the guest`));
      }, ANSWER_TIMEOUT_MS);
      this.#waiting.push({
        resolve: answer => {
          clearTimeout(timer);
          resolve(answer);
        },
        reject: error => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#socket.write(`${text}\n`);
    });
  }

  #receive(chunk: Buffer): void {
    try {
      for (const answer of this.#answers.push(chunk)) this.#waiting.shift()?.resolve(answer);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    this.#socket.destroy();
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }
}

/**
 * Runs `SERVICE COMMAND...`; a history without bounds is all of it, its nonces in hex.
 * @throws CurlingError CURLING_USAGE and those of ControlClient.
 */
export async function guestCommand(guest: GuestAddress, text: string): Promise<Facts> {
  const [service, ...words] = text.trim().split(/\s+/);
  if (!service || !Object.hasOwn(CONTROL_PORTS, service) || words.length === 0) {
    const services = Object.keys(CONTROL_PORTS).join(', ');
    throw new CurlingError('CURLING_USAGE', `${text}: expected one of ${services} and a command`);
  }
  const client = await ControlClient.connect(guest, service as ServiceName);
  try {
    if (words.length === 1 && words[0] === 'history') words.push('1', String(TO_THE_LAST));
    const { facts, block } = await client.command(words.join(' '));
    return words[0] === 'history' ? { ...facts, nonces: block.toString('hex') } : facts;
  } finally {
    client.close();
  }
}

/**
 * A worker that runs the given commands and is then done, or takes them from stdin when there are
 * none.
 */
function commander(guest: GuestAddress, commands: string[]): Worker {
  const run = async () => {
    for (const text of commands) say('answer', await guestCommand(guest, text));
  };
  return {
    progress: () => ({}),
    stop: async () => ({}),
    command: words => guestCommand(guest, words.join(' ')),
    ...(commands.length > 0 ? { done: run() } : {}),
  };
}

if (ranDirectly(import.meta.url)) {
  await runWorker(
    {
      program: 'lab control',
      usage: "--guest IP [--port-base N] ['SERVICE COMMAND...' ...]",
      summary: "Commands for the guest's services.",
      options: {
        guest: { type: 'string', value: 'IP', help: "the guest's address" },
        'port-base': { type: 'string', value: 'N', default: '0', help: "the guest's port base" },
      },
    },
    async ({ values, positionals }) =>
      commander(
        {
          host: requiredText('guest', values.guest),
          portBase: wholeNumber('port-base', values['port-base'], 0, 60_000),
        },
        positionals,
      ),
  );
}
