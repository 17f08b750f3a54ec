/**
 * A host in a network namespace: a bridge with two taps, both held by the test. One plays QEMU's end of the guest's
 * tap, one the world outside. What is written to a tap is through the bridge (or in the proxy's capture queue) when the
 * write returns, so tests need no waiting to know where a frame is.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import type { JsonObject, QmpEvent } from '../../common/qmp/messages.ts';
import { run } from '../../common/run.ts';
import { OwnTap } from '../../proxy/own-tap.ts';
import { checked, setns } from '../../proxy/syscalls.ts';
import { VNET_HEADER_BYTES } from '../../proxy/vlan-tag.ts';
import { GUEST_MAC, OUTSIDE_MAC } from './frame-builders.ts';

export { GUEST_MAC, OUTSIDE_MAC };

export const PROXY_MAIN = fileURLToPath(new URL('../../proxy/main.js', import.meta.url));
const CLONE_NEWNET = 0x40000000;
const WAIT_MS = 10_000;
const CONNECT_TRIES = 500;

/** Runs `work`, which must not be asynchronous, with this thread in the network namespace `name`. */
export function inNamespace<Result>(name: string, work: () => Result): Result {
  const home = fs.openSync('/proc/thread-self/ns/net', 'r');
  const there = fs.openSync(`/run/netns/${name}`, 'r');
  try {
    checked(setns(there, CLONE_NEWNET), 'setns');
    return work();
  } finally {
    checked(setns(home, CLONE_NEWNET), 'setns');
    fs.closeSync(there);
    fs.closeSync(home);
  }
}

/** The program's end of a tap. */
export class TapEnd {
  readonly tap: OwnTap;
  readonly #buffer = Buffer.alloc(70_000);
  readonly #kept: Buffer[] = [];

  constructor(namespace: string, name: string) {
    this.tap = inNamespace(namespace, () => new OwnTap(name));
  }

  /** Sends one frame; its vnet header asks for nothing unless given. */
  send(frame: Buffer, header: Buffer = Buffer.alloc(VNET_HEADER_BYTES)): void {
    fs.writeSync(this.tap.fd, Buffer.concat([header, frame]));
  }

  /** The next frame with its vnet header in front, or undefined when there is none now. */
  receive(): Buffer | undefined {
    try {
      const length = fs.readSync(this.tap.fd, this.#buffer);
      return Buffer.from(this.#buffer.subarray(0, length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
      throw error;
    }
  }

  /** All frames of the test that are here now, vnet headers in front; the host's own chatter is left out. */
  receiveAll(): Buffer[] {
    const frames = this.#kept.splice(0);
    for (let frame = this.receive(); frame; frame = this.receive()) {
      if (isTestFrame(frame.subarray(VNET_HEADER_BYTES))) frames.push(frame);
    }
    return frames;
  }

  /** Waits until `count` frames of the test are here, and returns them with all others that are. */
  async receiveCount(count: number): Promise<Buffer[]> {
    const frames: Buffer[] = [];
    await until(() => {
      frames.push(...this.receiveAll());
      return frames.length >= count;
    }, `${count} frames`);
    return frames;
  }

  close(): void {
    this.tap.close();
  }
}

const TEST_MACS = GUEST_MAC.subarray(0, 4);

/** Frames of the tests come from addresses that begin like the guest's. */
function isTestFrame(frame: Buffer): boolean {
  return frame.subarray(6, 10).equals(TEST_MACS);
}

/** A frame from the guest with a number in it, `length` bytes long. */
export function numberedFrame(number: number, length = 60): Buffer {
  const frame = Buffer.alloc(length, number & 0xff);
  frame.set(OUTSIDE_MAC, 0);
  frame.set(GUEST_MAC, 6);
  frame.writeUInt16BE(0x88b5, 12); // for local experiments, IEEE 802
  frame.writeUInt32BE(number, 14);
  return frame;
}

/** The number in what `TapEnd.receive` returned. */
export function numberOf(received: Buffer): number {
  return received.readUInt32BE(VNET_HEADER_BYTES + 14);
}

/** Waits until `condition` holds; fails the test when it does not come to hold. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < WAIT_MS; waitedMs++) {
    if (condition()) return;
    await sleep(1);
  }
  throw new Error(`waited ${WAIT_MS} ms in vain for ${what}`);
}

/** A running curling-proxy and a connection to its control socket. */
export class RunningProxy {
  readonly child: ChildProcess;
  readonly control: string;
  readonly events: QmpEvent[] = [];
  readonly exited: Promise<number | null>;
  client!: QmpClient;
  log = '';

  private constructor(child: ChildProcess, control: string) {
    this.child = child;
    this.control = control;
    child.stderr?.on('data', chunk => {
      this.log += chunk;
    });
    // Not `exit`: that can come before the last of its log.
    this.exited = once(child, 'close').then(([status]) => status as number | null);
  }

  static spawn(namespace: string, control: string, args: string[]): RunningProxy {
    const command = ['netns', 'exec', namespace, process.execPath, PROXY_MAIN];
    const all = [...command, '--control', control, ...args];
    return new RunningProxy(spawn('ip', all, { stdio: ['ignore', 'ignore', 'pipe'] }), control);
  }

  /** Connects and waits until the proxy has started. */
  async connect(): Promise<this> {
    // A killed proxy leaves its socket behind, so only an answer says that this one listens.
    for (let tries = 0; !this.client; tries++) {
      if (this.child.exitCode !== null) throw new Error(`the proxy has ended: ${this.log}`);
      try {
        this.client = await QmpClient.connect(this.control);
      } catch (error) {
        if (tries === CONNECT_TRIES) throw error;
        await sleep(10);
      }
    }
    this.client.on('event', event => this.events.push(event));
    await this.status();
    return this;
  }

  execute(command: string, args: JsonObject = {}): Promise<JsonObject> {
    return this.client.execute(command, args) as Promise<JsonObject>;
  }

  status(): Promise<JsonObject> {
    return this.execute('query-status');
  }

  /** The epochs of all events of this name so far. */
  epochsOf(event: string): unknown[] {
    return this.events.filter(one => one.event === event).map(one => one.data.epoch);
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.client?.close();
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return this.exited;
  }
}

let labs = 0;

export class TapLab {
  readonly namespace = `cpt${process.pid}-${labs++}`;
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-proxy-'));
  readonly control = path.join(this.folder, 'control.sock');
  readonly proxies: RunningProxy[] = [];
  readonly #taps: TapEnd[] = [];
  guest!: TapEnd;
  outside!: TapEnd;

  /** Makes the namespace; it is gone at the end of the test. */
  static async create(t: ExecutionContext): Promise<TapLab> {
    const lab = new TapLab();
    t.teardown(() => lab.#remove());
    await run('ip', ['netns', 'add', lab.namespace]);
    await lab.ip(['link add br0 type bridge', 'link set br0 addrgenmode none up']);
    lab.guest = await lab.addTap('tap0');
    lab.outside = await lab.addTap('up0');
    return lab;
  }

  /** Adds a tap that the test holds, as a port of `bridge`. */
  async addTap(name: string, bridge = 'br0'): Promise<TapEnd> {
    const end = new TapEnd(this.namespace, name);
    this.#taps.push(end);
    // A release comes at once; the test reads it when it has time.
    const settings = `addrgenmode none txqueuelen 50000`;
    await this.ip([`link set ${name} ${settings}`, `link set ${name} master ${bridge} up`]);
    return end;
  }

  async ip(commands: string[]): Promise<void> {
    await run('ip', ['-n', this.namespace, '-batch', '-'], { input: `${commands.join('\n')}\n` });
  }

  /** The output of a tool in the namespace. `more` are arguments that hold spaces. */
  tool(command: string, ...more: string[]): Promise<string> {
    return run('ip', ['netns', 'exec', this.namespace, ...command.split(' '), ...more]);
  }

  /** Starts a proxy on tap0 and waits until it is in its initial state. */
  startProxy(...args: string[]): Promise<RunningProxy> {
    return this.spawnProxy('--tap', 'tap0', '--buffer-mib', '16', ...args).connect();
  }

  spawnProxy(...args: string[]): RunningProxy {
    const proxy = RunningProxy.spawn(this.namespace, this.control, args);
    this.proxies.push(proxy);
    return proxy;
  }

  async #remove(): Promise<void> {
    for (const proxy of this.proxies) await proxy.end('SIGKILL');
    for (const end of this.#taps) end.close();
    await run('ip', ['netns', 'del', this.namespace]).catch(() => undefined);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
