/** A program of lab/client in the client's namespace, as seen from outside it: its JSON lines. */
import type { ChildProcess } from 'node:child_process';
import { CurlingError } from '../common/errors.ts';
import { LineSplitter } from '../common/qmp/lines.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import type { LabNode } from './node.ts';
import { inRepository } from './paths.ts';

const LINE_BYTES_MAX = 16 << 20;
/** A client answers at once unless the guest that it asks is broken. */
const ANSWER_MS_MAX = 15_000;

export class ClientProcess {
  /** The newest `progress`. */
  latest: JsonObject = {};
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #waiting = new Map<string, (facts: JsonObject) => void>();
  #lost: string | undefined;

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
    const splitter = new LineSplitter(LINE_BYTES_MAX);
    child.stdout?.on('data', (chunk: Buffer) => {
      for (const line of splitter.push(chunk)) this.#receive(JSON.parse(line) as JsonObject);
    });
  }

  /** Starts build/lab/client/NAME.js in `node` and returns when it says that it is ready. */
  static async start(node: LabNode, name: string, args: readonly string[]): Promise<ClientProcess> {
    const program = inRepository(`build/lab/client/${name}.js`);
    const child = node.spawn(process.execPath, [program, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const client = new ClientProcess(child, name);
    await client.#next('ready');
    return client;
  }

  /** Why its connection was lost, if it was. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /** Sends a line to it and returns its answer. */
  ask(line: string): Promise<JsonObject> {
    const answer = this.#next('answer');
    this.#child.stdin?.write(`${line}\n`);
    return answer;
  }

  /** Ends it in good order and returns its summary. */
  stop(): Promise<JsonObject> {
    const summary = this.#next('summary');
    this.#child.stdin?.end('stop\n');
    return summary;
  }

  /** The summary of a client that ends by itself. */
  ended(timeoutMs: number): Promise<JsonObject> {
    return this.#next('summary', timeoutMs);
  }

  /** The next message of a type. @throws CurlingError CURLING_CONNECTION_LOST, CURLING_TIMEOUT */
  #next(type: string, timeoutMs = ANSWER_MS_MAX): Promise<JsonObject> {
    return new Promise((resolve, reject) => {
      const ended = () => {
        clearTimeout(timer);
        const text = `lab client ${this.#name} ended before it said "${type}"`;
        reject(new CurlingError('CURLING_CONNECTION_LOST', text));
      };
      const timer = setTimeout(() => {
        this.#child.off('close', ended);
        const text = `lab client ${this.#name} did not say "${type}" in ${timeoutMs} ms`;
        reject(new CurlingError('CURLING_TIMEOUT', text));
      }, timeoutMs);
      // Not at its exit: what it said last may not be read yet.
      this.#child.once('close', ended);
      this.#waiting.set(type, facts => {
        clearTimeout(timer);
        this.#child.off('close', ended);
        resolve(facts);
      });
    });
  }

  #receive(message: JsonObject): void {
    const type = String(message.type);
    if (type === 'progress') this.latest = message;
    if (type === 'lost') this.#lost = String(message.reason);
    // A question that could not be carried out is answered with an error.
    const answered = type === 'error' ? 'answer' : type;
    const waiting = this.#waiting.get(answered);
    this.#waiting.delete(answered);
    waiting?.(message);
  }
}
