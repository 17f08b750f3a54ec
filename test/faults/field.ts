/**
 * Two hosts with a protected guest under traffic, whose processes stop themselves at a point of the protocol when they are
 * told to. One field serves many cells: the hosts take turns at being the primary.
 */
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StopPoint } from '../../common/test-stop.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { Deployment } from '../../lab/deployment.ts';
import { procText } from '../../lab/processes.ts';
import { Traffic } from '../../lab/traffic.ts';
import { pidsOf } from '../system/faults.ts';

/** Few echoes: those that pile up in a silence must fit into a frame that the observer captures whole. */
const TRAFFIC = { recordsRate: 100, echoRate: 10, casIntervalUs: 50_000 };
const POLL_MS = 20;
/** A coordinator that stands still does not answer. */
const STATUS_MS_MAX = 500;

export interface Roles {
  primary: string;
  backup: string;
}

export interface FieldOptions {
  /** `--detection` of both coordinators. */
  detectionMs: number;
}

export class Field {
  readonly deployment: Deployment;
  readonly detectionMs: number;
  readonly #folder: string;
  #traffic: Traffic | undefined;

  private constructor(deployment: Deployment, detectionMs: number, folder: string) {
    this.deployment = deployment;
    this.detectionMs = detectionMs;
    this.#folder = folder;
  }

  /** Builds the lab, boots the guest on host a, protects it by host b, and starts traffic. */
  static async create({ detectionMs }: FieldOptions): Promise<Field> {
    const folder = mkdtempSync(join(tmpdir(), 'curling-faults-'));
    let deployment: Deployment | undefined;
    try {
      deployment = await hooked(folder, () => Deployment.create());
      const field = new Field(deployment, detectionMs, folder);
      await field.#begin();
      return field;
    } catch (error) {
      await deployment?.destroy();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { deployment } = this;
    await deployment.startGuest('a');
    await this.startCoordinator('a', 'primary');
    await this.startCoordinator('b');
    await deployment.untilProtected('a');
    this.#traffic = await Traffic.start(deployment.lab, TRAFFIC);
  }

  get traffic(): Traffic {
    return this.#traffic!;
  }

  /** Starts what stands still or is missing on both hosts and at the witness, and joins all cables. */
  async repair(): Promise<void> {
    const { lab } = this.deployment;
    for (const node of [...lab.hosts, lab.witness]) node.thaw();
    for (const host of lab.hosts) await lab.restore(host.name);
    const start = (begin: () => Promise<unknown>) => hooked(this.#folder, begin);
    if (lab.witness.pids().length === 0) await start(() => this.deployment.startWitness());
    for (const { name } of lab.hosts) {
      if (pidsOf(this.deployment, name, 'proxy').length === 0)
        await start(() => this.deployment.startProxy(name));
      if (pidsOf(this.deployment, name, 'coordinator').length === 0)
        await this.startCoordinator(name);
    }
  }

  /** As a service manager would; a guest that still runs there is found. */
  async startCoordinator(host: string, role: 'primary' | 'backup' = 'backup'): Promise<void> {
    const peers = this.deployment.lab.hosts.map(({ name }) => name).filter(name => name !== host);
    const flags = ['--detection', String(this.detectionMs)];
    const options = { role, peers, flags };
    await hooked(this.#folder, () => this.deployment.startCoordinator(host, options));
  }

  /** The next process that passes `point`, for the `count`th time from now on, stops itself. */
  arm(point: StopPoint, count: number): void {
    const file = join(this.#folder, 'stop');
    writeFileSync(`${file}.new`, `${point}:${count}\n`);
    renameSync(`${file}.new`, file);
  }

  /** Takes `arm` back. */
  disarm(): void {
    rmSync(join(this.#folder, 'stop'), { force: true });
  }

  /** A host's status; undefined when it does not answer soon. */
  async status(host: string): Promise<CoordinatorStatus | undefined> {
    return Promise.race([this.deployment.status(host), sleep(STATUS_MS_MAX, undefined)]);
  }

  /** The statuses of both hosts, in their order. */
  statuses(): Promise<(CoordinatorStatus | undefined)[]> {
    return Promise.all(this.deployment.lab.hosts.map(({ name }) => this.status(name)));
  }

  /** Waits until the pair is protected and the guest is heard; returns who is what. */
  async untilWhole(timeoutMs: number): Promise<Roles> {
    let found: CoordinatorStatus | undefined;
    await this.until('a protected pair', timeoutMs, async () => {
      const statuses = await this.statuses();
      found = statuses.find(status => status?.protected);
      return found !== undefined && statuses.some(status => status?.state === 'BACK');
    });
    await this.untilHeard(20, timeoutMs);
    return { primary: found!.host, backup: found!.peer! };
  }

  /** Waits until the guest has said `more` further records outside. */
  async untilHeard(more: number, timeoutMs: number): Promise<void> {
    const wanted = this.traffic.recordsSeen + more;
    await this.until(`${more} records`, timeoutMs, () => this.traffic.recordsSeen >= wanted);
  }

  /** Polls until `holds`. The error says in which states the hosts are. */
  async until(
    what: string,
    timeoutMs: number,
    holds: () => boolean | Promise<boolean>,
  ): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await holds())) {
      if (performance.now() > deadline)
        throw new Error(`no ${what} within ${timeoutMs} ms; ${await this.words()}`);
      await sleep(POLL_MS);
    }
  }

  /** In which states the hosts are, and why. */
  async words(): Promise<string> {
    const { hosts } = this.deployment.lab;
    const words = (await this.statuses()).map((status, index) => {
      const said = status ? `${status.state} (${status.reason})` : 'no answer';
      return `${hosts[index]!.name}: ${said}`;
    });
    return words.join('; ');
  }

  /** Copies what all processes wrote to `folder`. */
  keepLogs(folder: string): void {
    for (const { name, runDir } of this.deployment.lab.nodes) {
      mkdirSync(join(folder, name), { recursive: true });
      const isText = (path: string) => path === runDir || /\.(log|json)$/.test(path);
      cpSync(runDir, join(folder, name), { recursive: true, filter: isText });
    }
  }

  async destroy(): Promise<void> {
    await this.deployment.destroy();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Runs something that starts processes: they look at the file `stop` in this folder. */
async function hooked<T>(folder: string, start: () => Promise<T>): Promise<T> {
  process.env.CURLING_TEST_STOP_FILE = join(folder, 'stop');
  try {
    return await start();
  } finally {
    delete process.env.CURLING_TEST_STOP_FILE;
  }
}

/** Whether a process was stopped by a signal. */
export function isStopped(pid: number): boolean {
  const stat = procText(pid, 'stat');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}
