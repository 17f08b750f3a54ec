/** One machine of the lab: programs run in its network namespace. */
import assert from 'node:assert/strict';
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type RunOptions, run, toolEnvironment } from '../common/run.ts';
import * as net from './addresses.ts';
import { namespaceOf } from './plan.ts';
import { killAll, pidsIn, signalAll, startTimeOf } from './processes.ts';
import { LAB_VARIABLE, labDirectory } from './record.ts';

export interface NodeSpawnOptions {
  /** Added to this process's environment (whose PATH is that of common/run.ts). */
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Default: nothing to read; what it writes is appended to `<runDir>/<log>.log`. */
  stdio?: SpawnOptions['stdio'];
  /** The log's name without `.log`; default the program's. */
  log?: string;
}

export class LabNode {
  /** `a`, `client`, `witness`, `lan`. */
  readonly name: string;
  readonly namespace: string;
  /** Control sockets, logs, serial lines of this node. Short enough for a unix socket's path. */
  readonly runDir: string;
  readonly #lab: string;
  readonly #children = new Set<ChildProcess>();
  #closed = false;

  constructor(lab: string, name: string) {
    this.#lab = lab;
    this.name = name;
    this.namespace = namespaceOf(lab, name);
    this.runDir = join(labDirectory(lab), name);
  }

  /**
   * Starts a program in this node, as the leader of a process group of its own: its pid is the program's. The lab kills
   * it at the latest when it is destroyed. A program that cannot be executed ends with status 255 and says so on stderr.
   */
  spawn(program: string, args: readonly string[], options: NodeSpawnOptions = {}): ChildProcess {
    assert(!this.#closed, `${this.namespace} is gone`);
    const log = options.stdio ? undefined : this.#openLog(options.log ?? program);
    const child = spawn('ip', ['netns', 'exec', this.namespace, program, ...args], {
      cwd: options.cwd,
      env: { ...toolEnvironment(), ...options.env, [LAB_VARIABLE]: this.#lab },
      stdio: options.stdio ?? ['ignore', log, log],
      detached: true,
    });
    if (log !== undefined) closeSync(log);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    child.once('error', () => this.#children.delete(child));
    return child;
  }

  /** Where `spawn` puts what a program writes. */
  logPath(log: string): string {
    return join(this.runDir, `${log.replaceAll('/', '_')}.log`);
  }

  #openLog(log: string): number {
    return openSync(this.logPath(log), 'a');
  }

  /**
   * Runs a tool in this node to its end and returns its standard output.
   * @throws CurlingError as common/run.ts; CURLING_TOOL_FAILED also when the tool is missing
   */
  run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    return run('ip', ['netns', 'exec', this.namespace, program, ...args], options);
  }

  /** The processes that run in this node now, whoever started them. */
  pids(): number[] {
    return pidsIn([this.namespace]);
  }

  /** SIGKILL to every process of this node at once; returns their number when all are gone. Blocks for some ms. */
  kill(): number {
    // A child on its way into the namespace is not among its processes yet.
    return killAll(() => [...new Set([...this.#childPids(), ...this.pids()])]);
  }

  /** SIGSTOP to every process of this node: a host that hangs. Its kernel still answers, its sockets stay open. */
  freeze(): void {
    signalAll(this.pids(), 'SIGSTOP');
  }

  /** SIGCONT: the end of `freeze`. */
  thaw(): void {
    signalAll(this.pids(), 'SIGCONT');
  }

  /** For the lab: kills all, takes no more programs, and resolves when the ends of all children were seen. */
  async close(): Promise<void> {
    this.#closed = true;
    const ends = [...this.#children].map(
      child => new Promise<void>(resolve => child.once('exit', () => resolve())),
    );
    this.kill();
    await Promise.all(ends);
  }

  /** For the lab: this process may end while the node's programs run on. */
  unref(): void {
    for (const child of this.#children) child.unref();
  }

  /** Those that run; one that was killed counts no more, even before its end was reported here. */
  #childPids(): number[] {
    const pids = [...this.#children].map(child => child.pid ?? 0);
    return pids.filter(pid => pid > 0 && startTimeOf(pid) !== 0);
  }
}

/** A host: a bridge with the guest's tap, an uplink to the LAN, and the replication link. */
export class LabHost extends LabNode {
  /** The first of its taps. */
  readonly tap = net.TAP;
  /** One for each of the guest's cards. */
  readonly taps: readonly string[];
  readonly bridge = net.BRIDGE;
  readonly uplink = net.UPLINK;
  readonly replicationInterface = net.REPLICATION_INTERFACE;
  /** On the LAN. */
  readonly address: string;
  /** On the replication link. */
  readonly replicationAddress: string;
  /** For shadow RAM; in /dev/shm, removed with the lab. */
  readonly shmDir: string;

  constructor(lab: string, name: string, index: number, taps = 1) {
    super(lab, name);
    const number = net.hostNumber(index);
    this.taps = net.tapNames(taps);
    this.address = `${net.LAN_PREFIX}.${number}`;
    this.replicationAddress = `${net.REPLICATION_PREFIX}.${number}`;
    this.shmDir = join('/dev/shm', this.namespace);
  }
}

/** The `lan` namespace: both bridges and the far end of every cable. */
export class LanNode extends LabNode {
  readonly bridge = net.LAN_BRIDGE;
  readonly replicationBridge = net.REPLICATION_BRIDGE;

  /**
   * The LAN bridge's port towards a host, `client` or `witness`. A frame that enters here came from that node and
   * really reached the LAN.
   */
  port(node: string): string {
    return net.lanPort(node);
  }

  /** The replication bridge's port towards a host. */
  replicationPort(host: string): string {
    return net.replicationPort(host);
  }
}
