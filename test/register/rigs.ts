/** Stores of every kind for the contract test: each a real process but one. */
import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../common/run.ts';
import type { RegisterSource } from '../../coordinator/arbitration/backend.ts';
import type { EtcdConfig } from '../../coordinator/arbitration/etcd-options.ts';
import { EtcdRegister } from '../../coordinator/arbitration/etcd-register.ts';
import { WitnessClient } from '../../coordinator/arbitration/witness-client.ts';
import { ETCD, etcdArguments } from '../../lab/etcd.ts';
import { inRepository } from '../../lab/paths.ts';
import { freePort } from '../coordinator/bench.ts';
import { makeCertificates } from './certificates.ts';
import { endChild, startChild } from './child.ts';
import { MemoryRegister, MemoryStore } from './memory-register.ts';

/** Long enough for a loaded machine. */
export const PATIENCE_MS = 20_000;

const WITNESS = inRepository('build/witness/main.js');

export interface OpenOptions {
  /** The store id that must be there. */
  store?: string;
  requestTimeoutMs?: number;
  /** Another port than the store's own, of a proxy or an impostor. */
  port?: number;
}

/** One store, and what can be done to it. */
export interface Rig {
  /** Another client. */
  open(options?: OpenOptions): RegisterSource;
  /** Where it listens; undefined when it does not. */
  readonly port: number | undefined;
  /** Questions that one `swap` asks the store, when it is granted. */
  readonly questionsOfSwap: number;
  /** The next answer is lost; for a store that no proxy can stand before. */
  loseAnswer?(): void;
  forget(vm: string): Promise<void>;
  stop(): Promise<void>;
  /** Starts it again, with what it has. */
  start(): Promise<void>;
  /** Keeps what it has, while it is stopped. */
  keep(): void;
  /** Puts back what was kept last, while it is stopped. */
  putBack(): void;
  /** Takes all away and makes a new store, while it is stopped. */
  renew(): Promise<void>;
  /** Ends it and removes its files. */
  close(): Promise<void>;
}

export const RIGS: Record<string, () => Promise<Rig>> = {
  memory: () => memoryRig(),
  'curling-witness': () => ProcessRig.create(new WitnessKind()),
  etcd: () => ProcessRig.create(new EtcdKind(false)),
  'etcd with TLS': () => ProcessRig.create(new EtcdKind(true)),
};

/** What differs between the stores that are processes. */
interface Kind {
  readonly questionsOfSwap: number;
  readonly program: string;
  prepare(folder: string, port: number): Promise<void>;
  /** Makes an empty store; before or after the process was started. */
  readonly initWhile: 'stopped' | 'serving';
  init(): Promise<void>;
  args(): string[];
  open(options: OpenOptions): RegisterSource;
  readonly forgetWhile: 'stopped' | 'serving';
  forgetArgs(): string[];
}

class WitnessKind implements Kind {
  readonly questionsOfSwap = 1;
  readonly program = process.execPath;
  readonly initWhile = 'stopped';
  readonly forgetWhile = 'stopped';
  #data = '';
  #port = 0;

  async prepare(folder: string, port: number): Promise<void> {
    this.#data = path.join(folder, 'data', 'store');
    this.#port = port;
  }

  async init(): Promise<void> {
    await run('mkdir', ['-p', path.dirname(this.#data)]);
    await run(process.execPath, [WITNESS, 'init', '--store', this.#data], {
      timeoutMs: PATIENCE_MS,
    });
  }

  args(): string[] {
    return [WITNESS, '--listen', `127.0.0.1:${this.#port}`, '--store', this.#data];
  }

  open({ port = this.#port, ...options }: OpenOptions): RegisterSource {
    const address = { host: '127.0.0.1', port };
    return new WitnessClient(address, options);
  }

  forgetArgs(): string[] {
    return ['--store', this.#data];
  }
}

export class EtcdKind implements Kind {
  readonly questionsOfSwap = 2;
  readonly program = ETCD;
  readonly initWhile = 'serving';
  readonly forgetWhile = 'serving';
  readonly #secure: boolean;
  #folder = '';
  #port = 0;
  #peerPort = 0;

  constructor(secure: boolean) {
    this.#secure = secure;
  }

  async prepare(folder: string, port: number): Promise<void> {
    this.#folder = folder;
    this.#port = port;
    this.#peerPort = await freePort();
    if (this.#secure) await makeCertificates(folder);
  }

  async init(): Promise<void> {
    const register = this.open({ requestTimeoutMs: PATIENCE_MS }) as EtcdRegister;
    try {
      await register.init();
    } finally {
      register.close();
    }
  }

  args(): string[] {
    const tls = { ca: this.#file('ca.pem'), cert: this.#file('server.pem'), key: '' };
    return etcdArguments({
      url: this.#url(this.#port),
      dataDir: this.#file('data'),
      peerPort: this.#peerPort,
      ...(this.#secure ? { tls: { ...tls, key: this.#file('server.key') } } : {}),
    });
  }

  config(port = this.#port): EtcdConfig {
    const endpoints = [new URL(this.#url(port))];
    if (!this.#secure) return { endpoints };
    const read = (name: string) => readFileSync(this.#file(name));
    return { endpoints, ca: read('ca.pem'), cert: read('client.pem'), key: read('client.key') };
  }

  open({ port, ...options }: OpenOptions): RegisterSource {
    return new EtcdRegister(this.config(port), options);
  }

  forgetArgs(): string[] {
    const tls = [
      ...['--etcd-ca', this.#file('ca.pem')],
      ...['--etcd-cert', this.#file('client.pem'), '--etcd-key', this.#file('client.key')],
    ];
    return ['--etcd', this.#url(this.#port), ...(this.#secure ? tls : [])];
  }

  #url(port: number): string {
    return `${this.#secure ? 'https' : 'http'}://127.0.0.1:${port}`;
  }

  #file(name: string): string {
    return path.join(this.#folder, name);
  }
}

/** A store that is a process with files in a folder of its own. */
export class ProcessRig<K extends Kind> implements Rig {
  readonly kind: K;
  readonly port: number;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  private constructor(kind: K, folder: string, port: number) {
    this.kind = kind;
    this.#folder = folder;
    this.port = port;
  }

  static async create<K extends Kind>(kind: K): Promise<ProcessRig<K>> {
    const folder = mkdtempSync(path.join(tmpdir(), 'curling-register-test-'));
    const rig = new ProcessRig(kind, folder, await freePort());
    try {
      await kind.prepare(folder, rig.port);
      await rig.renew();
      await rig.start();
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  get questionsOfSwap(): number {
    return this.kind.questionsOfSwap;
  }

  get child(): ChildProcess {
    return this.#child!;
  }

  open(options: OpenOptions = {}): RegisterSource {
    return this.kind.open({ requestTimeoutMs: PATIENCE_MS, ...options });
  }

  async forget(vm: string): Promise<void> {
    const offline = this.kind.forgetWhile === 'stopped';
    if (offline) await this.stop();
    const args = [WITNESS, 'forget', vm, '--yes', ...this.kind.forgetArgs()];
    await run(process.execPath, args, { timeoutMs: PATIENCE_MS });
    if (offline) await this.start();
  }

  async stop(): Promise<void> {
    await endChild(this.#child);
  }

  async start(): Promise<void> {
    this.#child = startChild(this.kind.program, this.kind.args());
    const client = this.kind.open({ requestTimeoutMs: 500 });
    try {
      await untilAnswered(client, this.#child);
    } finally {
      client.close();
    }
  }

  keep(): void {
    rmSync(this.#kept, { recursive: true, force: true });
    cpSync(this.#data, this.#kept, { recursive: true });
  }

  putBack(): void {
    rmSync(this.#data, { recursive: true, force: true });
    cpSync(this.#kept, this.#data, { recursive: true });
  }

  /** Takes all away; for a store that is made by its server, starts and stops that. */
  async renew(): Promise<void> {
    this.wipe();
    if (this.kind.initWhile === 'stopped') return this.kind.init();
    await this.start();
    await this.kind.init();
    await this.stop();
  }

  wipe(): void {
    rmSync(this.#data, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #data(): string {
    return path.join(this.#folder, 'data');
  }

  get #kept(): string {
    return path.join(this.#folder, 'kept');
  }
}

/** Waits until a store answers, be it that it has no id yet. */
async function untilAnswered(client: RegisterSource, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await client.storeId();
      return;
    } catch (error) {
      if ((error as { code?: string }).code === 'CURLING_WITNESS_EMPTY') return;
      const ended = child.exitCode !== null || child.signalCode !== null;
      if (ended || performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

async function memoryRig(): Promise<Rig> {
  const store = new MemoryStore();
  let kept = { id: store.id, entries: new Map(store.entries) };
  return {
    port: undefined,
    questionsOfSwap: 1,
    open: ({ store: id } = {}) => new MemoryRegister(store, id),
    loseAnswer: () => {
      store.answersLost++;
    },
    forget: async vm => void store.forget(vm),
    stop: async () => {
      store.up = false;
    },
    start: async () => {
      store.up = true;
    },
    keep: () => {
      kept = { id: store.id, entries: new Map(store.entries) };
    },
    putBack: () => {
      store.id = kept.id;
      store.entries = new Map(kept.entries);
    },
    renew: async () => {
      Object.assign(store, new MemoryStore(), { up: store.up });
    },
    close: async () => {},
  };
}
