/** A traffic tool that runs: its lines of JSON, its end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { CurlingError } from '../../common/errors.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { toolEnvironment } from '../../common/run.ts';

const READY_MS_MAX = 10_000;

export class ToolProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #said = new Map<string, JsonObject>();
  readonly #waiting = new Map<string, (facts: JsonObject) => void>();
  readonly #exited: Promise<void>;
  #errors = '';

  /**
   * Starts a program, which becomes this process's child.
   * @param command The program and its arguments.
   * @param environment Added to this process's own.
   */
  constructor(name: string, command: readonly string[], environment: NodeJS.ProcessEnv) {
    this.#name = name;
    const [program, ...args] = command;
    const env = { ...toolEnvironment(), ...environment };
    this.#child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    this.pid = this.#child.pid ?? -1;
    this.#child.stdin!.on('error', () => {}); // it has ended; its status says why
    this.#child.stderr!.on('data', chunk => {
      this.#errors += chunk;
    });
    createInterface({ input: this.#child.stdout! }).on('line', line => this.#receive(line));
    this.#exited = new Promise(resolve => {
      this.#child.on('error', error => {
        this.#errors += error.message;
        resolve();
      });
      this.#child.on('close', () => resolve());
    });
  }

  get running(): boolean {
    return this.pid > 0 && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it has written to standard error. */
  get errors(): string {
    return this.#errors.trim();
  }

  /**
   * The line of this type, whether it was said already or is still to come.
   * @throws CurlingError CURLING_TOOL_FAILED when it ends without it, CURLING_TIMEOUT.
   */
  async said(type: string, timeoutMs: number): Promise<JsonObject> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const text = `${this.#name} did not say "${type}" within ${timeoutMs} ms`;
        reject(new CurlingError('CURLING_TIMEOUT', text));
      }, timeoutMs);
    });
    const said = new Promise<JsonObject>(resolve => {
      const facts = this.#said.get(type);
      if (facts) resolve(facts);
      else this.#waiting.set(type, resolve);
    });
    try {
      return await Promise.race([said, this.#endedWithout(type), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until it says that it is ready. */
  async ready(): Promise<this> {
    await this.said('ready', READY_MS_MAX);
    return this;
  }

  /** Closes its standard input, which asks the tools that wait for it for their result. `last` is written before. */
  finish(last?: string): void {
    this.#child.stdin!.end(last);
  }

  /** Ends it if it still runs, and waits until it has. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.running) this.#child.kill(signal);
    await this.#exited;
  }

  async #endedWithout(type: string): Promise<JsonObject> {
    await this.#exited;
    const facts = this.#said.get(type);
    if (facts) return facts;
    const why = this.errors || `status ${this.#child.exitCode ?? this.#child.signalCode}`;
    throw new CurlingError('CURLING_TOOL_FAILED', `${this.#name}: ${why}`);
  }

  #receive(line: string): void {
    const facts = JSON.parse(line) as JsonObject;
    const type = String(facts.type);
    this.#said.set(type, facts);
    this.#waiting.get(type)?.(facts);
    this.#waiting.delete(type);
  }
}
