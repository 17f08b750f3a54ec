/**
 * Several machines on the same two hosts of a lab: a tap, a proxy and a guest for each, and on each host either one
 * coordinator's process for all of them or one for each. All is said in configuration files, as an operator would.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../common/errors.ts';
import { QmpClient } from '../common/qmp/client.ts';
import type { QmpEvent } from '../common/qmp/messages.ts';
import type { CoordinatorStatus } from '../coordinator/status.ts';
import { guestAddress, TAPS_MAX, WITNESS_ADDRESS } from './addresses.ts';
import { Deployment, type DeploymentOptions } from './deployment.ts';
import { inRepository } from './paths.ts';
import {
  type Guest,
  type GuestOptions,
  type GuestPlace,
  guestArguments,
  startGuest,
} from './qemu.ts';

const REPLICATION_PORT = 7701;
const SERVED_MS_MAX = 30_000;

export interface FleetMachine {
  name: string;
  /** The host whose guest it is at the beginning. */
  home: string;
  guest?: Omit<GuestOptions, 'image' | 'address'>;
}

export interface FleetOptions {
  machines: readonly FleetMachine[];
  deployment?: DeploymentOptions;
  /** Further lines of every host's curling.toml. */
  settings?: readonly string[];
}

export class Fleet {
  readonly deployment: Deployment;
  readonly machines: readonly FleetMachine[];
  readonly #settings: readonly string[];
  readonly #clients = new Set<QmpClient>();

  private constructor(deployment: Deployment, { machines, settings = [] }: FleetOptions) {
    this.deployment = deployment;
    this.machines = machines;
    this.#settings = settings;
  }

  /** Builds the lab with its witness, writes all configurations, and starts the proxy of each machine on each host. */
  static async create(options: FleetOptions): Promise<Fleet> {
    if (options.machines.length > TAPS_MAX)
      throw new CurlingError('CURLING_USAGE', `a fleet has ${TAPS_MAX} machines at most`);
    const taps = options.machines.length;
    const deployment = await Deployment.create({ ...options.deployment, taps, proxies: [] });
    const fleet = new Fleet(deployment, options);
    try {
      for (const host of deployment.lab.hosts) fleet.#configure(host.name);
      const all = deployment.lab.hosts.flatMap(({ name }) =>
        options.machines.map(machine => fleet.#startProxy(name, machine.name)),
      );
      await Promise.all(all);
      return fleet;
    } catch (error) {
      await deployment.destroy();
      throw error;
    }
  }

  /** A guest's address on the LAN. */
  address(machine: string): string {
    return guestAddress(this.#index(machine));
  }

  /** A machine's own directory on a host. */
  folder(host: string, machine: string): string {
    return join(this.deployment.lab.host(host).runDir, machine);
  }

  /** The configuration files of a host. */
  config(host: string): string {
    return join(this.deployment.lab.host(host).runDir, 'etc');
  }

  /** Where faults for the threads of a host's process are put (coordinator/many/test-fault.ts). */
  faults(host: string): string {
    return join(this.deployment.lab.host(host).runDir, 'faults');
  }

  /** Boots a machine's guest at home, and makes its register. */
  async begin(machine: FleetMachine): Promise<Guest> {
    const place = this.#place(machine.home, machine.name);
    const qmpPath = join(this.folder(machine.home, machine.name), 'qmp.sock');
    const guest = await startGuest(place, { ...this.#guest(machine), qmpPath });
    const args = ['create', '--vm', machine.name, '--config', this.config(machine.home)];
    args.push('--qmp', qmpPath);
    await this.deployment.lab
      .host(machine.home)
      .run(process.execPath, [inRepository('build/coordinator/main.js'), ...args]);
    return guest;
  }

  /** One process for all machines of a host that have a file. */
  async startTogether(host: string, env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
    const child = this.#start(host, ['--all'], 'coordinator', env);
    for (const name of this.#listed(host))
      await this.#untilServed(child, this.#control(host, name));
    return child;
  }

  /** A process for each of them, in the order of the machines. */
  async startApart(host: string): Promise<ChildProcess[]> {
    const children: ChildProcess[] = [];
    for (const name of this.#listed(host)) {
      const http = ['--http', 'off'];
      const child = this.#start(host, ['--vm', name, ...http], `coordinator-${name}`, {});
      await this.#untilServed(child, this.#control(host, name));
      children.push(child);
    }
    return children;
  }

  /** Leaves only these machines a file on every host: the others are nobody's business. */
  list(names: readonly string[]): void {
    for (const host of this.deployment.lab.hosts) {
      for (const { name } of this.machines) {
        const file = this.#file(host.name, name);
        const away = `${file}.away`;
        if (names.includes(name) && existsSync(away)) renameSync(away, file);
        if (!names.includes(name) && existsSync(file)) renameSync(file, away);
      }
    }
  }

  /** A connection to a machine's own control socket. */
  async client(host: string, machine: string): Promise<QmpClient> {
    const client = await QmpClient.connect(this.#control(host, machine));
    this.#clients.add(client);
    client.on('close', () => this.#clients.delete(client));
    return client;
  }

  /** Collects a machine's events on a host from now on. */
  async follow(host: string, machine: string): Promise<QmpEvent[]> {
    const events: QmpEvent[] = [];
    (await this.client(host, machine)).on('event', event => events.push(event));
    return events;
  }

  /** Undefined when nobody answers. */
  async status(host: string, machine: string): Promise<CoordinatorStatus | undefined> {
    const client = await this.client(host, machine).catch(() => undefined);
    try {
      return (await client?.execute('query-status')) as CoordinatorStatus | undefined;
    } catch {
      return undefined;
    } finally {
      client?.close();
    }
  }

  /** @throws CurlingError CURLING_TIMEOUT with the last status */
  async untilStatus(
    host: string,
    machine: string,
    holds: (status: CoordinatorStatus) => boolean,
    timeoutMs = 60_000,
  ): Promise<CoordinatorStatus> {
    const deadline = performance.now() + timeoutMs;
    let last: CoordinatorStatus | undefined;
    while (performance.now() < deadline) {
      last = (await this.status(host, machine)) ?? last;
      if (last && holds(last)) return last;
      await sleep(50);
    }
    const said = last ? `${last.state}: ${last.reason}` : 'no answer';
    throw new CurlingError(
      'CURLING_TIMEOUT',
      `${machine} on ${host} after ${timeoutMs} ms: ${said}`,
    );
  }

  untilProtected(host: string, machine: string, timeoutMs?: number): Promise<CoordinatorStatus> {
    return this.untilStatus(host, machine, status => status.protected, timeoutMs);
  }

  async destroy(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.deployment.destroy();
  }

  #index(machine: string): number {
    return this.machines.findIndex(({ name }) => name === machine);
  }

  #place(host: string, machine: string): GuestPlace {
    const node = this.deployment.lab.host(host);
    return {
      namespace: node.namespace,
      runDir: this.folder(host, machine),
      taps: [node.taps[this.#index(machine)]!],
      spawn: (program, args, options) =>
        node.spawn(program, args, { ...options, log: `${machine}-${options?.log ?? program}` }),
      logPath: log => node.logPath(`${machine}-${log}`),
    };
  }

  #guest({ name, guest }: FleetMachine): GuestOptions {
    return { ...guest, image: this.deployment.image, address: this.address(name) };
  }

  #file(host: string, machine: string): string {
    return join(this.config(host), 'vm', `${machine}.toml`);
  }

  #listed(host: string): string[] {
    return this.machines.map(({ name }) => name).filter(name => existsSync(this.#file(host, name)));
  }

  #control(host: string, machine: string): string {
    return join(this.folder(host, machine), 'coordinator.sock');
  }

  #proxy(host: string, machine: string): string {
    return join(this.folder(host, machine), 'proxy.sock');
  }

  #configure(host: string): void {
    const node = this.deployment.lab.host(host);
    for (const folder of [join(this.config(host), 'vm'), this.faults(host)])
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lines = [
      `host = "${host}"\nwitness = "${WITNESS_ADDRESS}:7700"`,
      `keys = ${JSON.stringify(this.deployment.keyFile())}\nhooks = "none"`,
      // The console of a test guest is a log file; both hosts append to it.
      'allow-unheld = ["serial0"]',
      ...this.#settings,
    ];
    writeFileSync(join(this.config(host), 'curling.toml'), `${lines.join('\n')}\n`, {
      mode: 0o600,
    });
    for (const [index, machine] of this.machines.entries()) {
      const { name } = machine;
      mkdirSync(this.folder(host, name), { recursive: true, mode: 0o700 });
      const port = REPLICATION_PORT + index;
      const peers = this.deployment.lab.hosts.filter(other => other.name !== host);
      const own = {
        proxy: this.#proxy(host, name),
        'run-dir': this.folder(host, name),
        'shadow-dir': join(node.shmDir, name),
        listen: `${node.replicationAddress}:${port}`,
        peer: peers.map(peer => `${peer.replicationAddress}:${port}`),
        command: guestArguments(this.#place(host, name), this.#guest(machine)),
      };
      const text = Object.entries(own).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
      writeFileSync(this.#file(host, name), text.join(''), { mode: 0o600 });
    }
  }

  async #startProxy(host: string, machine: string): Promise<void> {
    const node = this.deployment.lab.host(host);
    const tap = node.taps[this.#index(machine)]!;
    const args = ['--tap', tap, '--control', this.#proxy(host, machine), '--buffer-mib', '16'];
    args.push('--config', 'none', '--http', 'off');
    const program = inRepository('build/proxy/main.js');
    const log = { log: `${machine}-proxy` };
    const child = node.spawn(process.execPath, [program, ...args], log);
    await this.#untilServed(child, this.#proxy(host, machine));
  }

  #start(host: string, what: string[], log: string, env: NodeJS.ProcessEnv): ChildProcess {
    const args = [inRepository('build/coordinator/main.js'), ...what];
    args.push('--config', this.config(host));
    const node = this.deployment.lab.host(host);
    return node.spawn(process.execPath, args, { log, env });
  }

  async #untilServed(child: ChildProcess, socket: string): Promise<void> {
    const deadline = performance.now() + SERVED_MS_MAX;
    for (;;) {
      if (existsSync(socket)) {
        const client = await QmpClient.connect(socket).catch(() => undefined);
        client?.close();
        if (client) return;
      }
      const ended = child.exitCode !== null || child.signalCode !== null;
      if (ended || performance.now() > deadline)
        throw new CurlingError(
          'CURLING_CONNECT',
          `${socket} is not served; see the logs beside it`,
        );
      await sleep(20);
    }
  }
}
