/**
 * One host without QEMU: a coordinator's real process between a real witness on loopback and test doubles of QEMU's
 * monitor and of the proxy, which write down what they are told.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { CurlingError } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { type CommandHandler, QmpServer } from '../../common/qmp/server.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import type { WitnessStore } from '../../witness/store.ts';
import { freePort } from '../ports.ts';
import { openStore, serve } from '../witness/support.ts';
import { guestAnswers } from './fake-guest.ts';

export { freePort };

export const VM = 'vm1';
const MAIN = fileURLToPath(new URL('../../coordinator/main.js', import.meta.url));
const STANDBY = fileURLToPath(new URL('fake-standby.js', import.meta.url));
const WAIT_MS = 20_000;

/** The command of a standby that works; see fake-standby.ts for what may follow. */
export const STANDBY_COMMAND: readonly string[] = [process.execPath, STANDBY];

/** Polls until `holds`, and fails with `what` when that takes too long. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${WAIT_MS} ms: ${what}`);
    await sleep(10);
  }
}

/** A coordinator's process, and all that it wrote. */
export class Program {
  readonly child: ChildProcess;
  /** The exit status, or the signal, once it has ended. */
  readonly ended: Promise<number | string>;
  said = '';

  /** @param environment Added to our own. */
  constructor(args: readonly string[], environment: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.said += text;
      });
    }
    this.ended = once(this.child, 'close').then(([status, signal]) => signal ?? status);
  }

  /** Its end, which must come by itself. */
  async end(): Promise<number | string> {
    const late = sleep(WAIT_MS, 'does not end', { ref: false });
    return Promise.race([this.ended, late]);
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

/** A server of QMP's shape that remembers the commands it was given. */
export class Double {
  readonly said: string[] = [];
  readonly commands: Record<string, CommandHandler>;
  readonly #server: QmpServer;

  constructor(program: string, commands: Record<string, CommandHandler>) {
    this.commands = commands;
    const heard = Object.keys(commands).map((name): [string, CommandHandler] => [
      name,
      (args, client) => {
        this.said.push(args.epoch === undefined ? name : `${name} ${args.epoch}`);
        return this.commands[name]!(args, client);
      },
    ]);
    this.#server = new QmpServer({ program, commands: Object.fromEntries(heard) });
  }

  async listen(t: ExecutionContext, socket: string): Promise<this> {
    await this.#server.listen(socket);
    t.teardown(() => this.close());
    return this;
  }

  /** Ends all connections; nobody listens any more. May be repeated. */
  async close(): Promise<void> {
    await this.#server.close().catch(() => {});
  }

  emit(event: string): void {
    this.#server.emit(event);
  }
}

export class Bench {
  readonly folder: string;
  readonly port: number;
  readonly witness: TcpAddress;
  readonly store: WitnessStore;
  readonly proxy: Double;
  readonly #t: ExecutionContext;

  private constructor(
    t: ExecutionContext,
    parts: { folder: string; port: number; witness: TcpAddress; store: WitnessStore },
  ) {
    this.#t = t;
    this.folder = parts.folder;
    this.port = parts.port;
    this.witness = parts.witness;
    this.store = parts.store;
    let state = 'hold';
    const become = (next: string) => () => {
      state = next;
    };
    const epoch = { open: 1, sealed: 0, released: 0 };
    this.proxy = new Double('proxy', {
      hold: become('hold'),
      seal: () => ({}),
      release: () => ({}),
      discard: () => ({ frames: 0, bytes: 0 }),
      bypass: become('bypass'),
      'query-stats': () => ({}),
      'query-status': () => ({
        ...{ state, tap: 'tap0', bridge: 'br0', port: 'port0', pending: false, epoch },
        held: { frames: 0, bytes: 0, framesMax: 1, bytesMax: 1 },
      }),
    });
  }

  /** A bench with a witness and a proxy. Several may share a witness. */
  static async create(t: ExecutionContext, other?: Bench): Promise<Bench> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-coordinator-'));
    t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
    const store = other?.store ?? (await openStore(t)).store;
    const witness = other?.witness ?? (await serve(t, store)).address;
    const bench = new Bench(t, { folder, store, witness, port: await freePort() });
    await bench.proxy.listen(t, bench.path('proxy.sock'));
    return bench;
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  /** A monitor of a running guest. */
  async guest(changes: Record<string, CommandHandler | undefined> = {}): Promise<Double> {
    const quit = () => void setImmediate(() => double.close());
    const commands: Record<string, CommandHandler> = { quit, ...guestAnswers() };
    for (const [name, handler] of Object.entries(changes)) {
      if (handler) commands[name] = handler;
      else delete commands[name];
    }
    const double = new Double('qemu', commands);
    return double.listen(this.#t, this.path('qmp.sock'));
  }

  /** Starts a coordinator; `changes` replace options, undefined takes one away. */
  start(
    role: 'primary' | 'backup',
    changes: Record<string, string | undefined> = {},
    rest: readonly string[] = ['--', ...STANDBY_COMMAND],
    environment: Record<string, string> = {},
  ): Program {
    const options: Record<string, string | undefined> = {
      ...{ vm: VM, host: 'a', role, witness: `127.0.0.1:${this.witness.port}` },
      ...{ proxy: this.path('proxy.sock'), control: this.path('control.sock') },
      ...{ listen: `127.0.0.1:${this.port}`, 'run-dir': this.path('run') },
      ...{ 'shadow-dir': this.path('shadow'), qmp: this.path('qmp.sock') },
      ...{ config: 'none', http: 'off', hooks: 'none' },
      ...changes,
    };
    const given = Object.entries(options).filter(entry => entry[1] !== undefined);
    const flags = given.flatMap(([name, v]) => [`--${name}`, v!]);
    const program = new Program([...flags, ...rest], environment);
    this.#t.teardown(async () => {
      // In good order first, for its standby to end with it.
      program.child.kill('SIGTERM');
      await Promise.race([program.ended, sleep(5_000, undefined, { ref: false })]);
      await program.kill();
    });
    return program;
  }

  /** Starts a coordinator and waits until it serves. */
  async serving(...args: Parameters<Bench['start']>): Promise<Program> {
    const program = this.start(...args);
    await until(`serving: ${program.said}`, () => {
      if (!program.alive) throw new Error(`it ended: ${program.said}`);
      return program.said.includes('"serving"');
    });
    return program;
  }

  async control(): Promise<QmpClient> {
    const client = await QmpClient.connect(this.path('control.sock'));
    this.#t.teardown(() => client.close());
    return client;
  }

  async status(): Promise<CoordinatorStatus> {
    const client = await QmpClient.connect(this.path('control.sock'));
    try {
      return (await client.execute('query-status')) as unknown as CoordinatorStatus;
    } finally {
      client.close();
    }
  }

  /** Waits for a state, or any other condition on the status. */
  async untilStatus(
    what: string,
    holds: (status: CoordinatorStatus) => boolean,
  ): Promise<CoordinatorStatus> {
    let status: CoordinatorStatus | undefined;
    await until(what, async () => {
      status = await this.status();
      return holds(status);
    }).catch(error => {
      throw new CurlingError('CURLING_TIMEOUT', `${error.message}; ${JSON.stringify(status)}`);
    });
    return status!;
  }

  /** Whether the proxy was ever told to let anything out. */
  get released(): boolean {
    return this.proxy.said.some(command => /^(release|bypass)/.test(command));
  }
}
