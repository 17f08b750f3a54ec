/**
 * curling's own processes in a lab: a witness, and on each host a proxy and a coordinator, started as an operator would
 * start them, for one guest. Used by the demo, tests and the bench.
 */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../common/errors.ts';
import { QmpClient } from '../common/qmp/client.ts';
import type { JsonObject, QmpEvent } from '../common/qmp/messages.ts';
import { keyLine } from '../common/wire/keys.ts';
import type { CoordinatorStatus } from '../coordinator/status.ts';
import { GATEWAY_ADDRESS } from './addresses.ts';
import { ETCD, etcdArguments } from './etcd.ts';
import { buildImage, type GuestImage } from './image.ts';
import { Lab, type LabOptions } from './lab.ts';
import type { LabHost } from './node.ts';
import { inRepository } from './paths.ts';
import { type Guest, type GuestOptions, guestArguments, startGuest } from './qemu.ts';

export const VM = 'demo';
const WITNESS_PORT = 7700;
const REPLICATION_PORT = 7701;
/** The machine that the lab is on may have a configuration of its own. */
const NO_FILES = ['--config', 'none'];
const ETCD_URL = 'http://10.77.0.9:2379';

export interface DeploymentOptions extends LabOptions {
  /** Whether the hosts ask the LAN's gateway before they ask for a grant. Default true. */
  gateway?: boolean;
  /** What the guest runs besides its services, and how large it is. */
  guest?: Omit<GuestOptions, 'image'>;
  /** Where the register is: a curling-witness (default), or an etcd on the witness's machine. */
  register?: 'witness' | 'etcd';
  /** Hosts whose proxy is started at once. Default all. */
  proxies?: readonly string[];
}

export interface CoordinatorOptions {
  role: 'primary' | 'backup';
  /** Hosts that it may pair with. */
  peers?: readonly string[];
  /** Further options of the command. */
  flags?: readonly string[];
  /** Its standby's command, if the guest was not started by `startGuest`. */
  standbyCommand?: readonly string[];
  /** Further words of its standby's command. */
  standbyWords?: readonly string[];
  env?: NodeJS.ProcessEnv;
}

/** An event of a coordinator, and the host that it came from. */
export interface HostedEvent extends QmpEvent {
  host: string;
}

export class Deployment {
  readonly lab: Lab;
  readonly image: GuestImage;
  /** Events of all coordinators since they were started, in the order in which they came. */
  readonly events: HostedEvent[] = [];
  readonly #options: DeploymentOptions;
  readonly #clients = new Map<string, QmpClient>();

  private constructor(lab: Lab, image: GuestImage, options: DeploymentOptions) {
    this.lab = lab;
    this.image = image;
    this.#options = options;
  }

  /** Builds the image and the lab, and starts the witness and a proxy on each host. */
  static async create(options: DeploymentOptions = {}): Promise<Deployment> {
    const image = await buildImage({
      flavour: options.guest?.card === 'e1000' ? 'generic' : 'cloud',
    });
    const lab = await Lab.create(options);
    const deployment = new Deployment(lab, image, options);
    try {
      if (options.register === 'etcd') await deployment.startEtcd();
      else await deployment.startWitness();
      const proxies = options.proxies ?? lab.hosts.map(host => host.name);
      await Promise.all(proxies.map(name => deployment.startProxy(name)));
      return deployment;
    } catch (error) {
      await lab.destroy();
      throw error;
    }
  }

  /** Starts the witness, with a new store when there is none. */
  async startWitness(env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
    const { witness } = this.lab;
    const store = join(witness.runDir, 'store');
    const program = built('witness/main.js');
    if (!existsSync(store))
      await witness.run(process.execPath, [program, 'init', '--store', store]);
    const log = witness.logPath('witness');
    const from = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    const listen = ['--listen', `10.77.0.9:${WITNESS_PORT}`, '--store', store];
    listen.push('--keys', this.keyFile(), ...NO_FILES);
    const child = witness.spawn(process.execPath, [program, ...listen], { log: 'witness', env });
    await untilLogged(child, log, from, witness.name);
    return child;
  }

  /** Starts etcd on the witness's machine, and makes a store in it when there is none. */
  async startEtcd(): Promise<ChildProcess> {
    const { witness } = this.lab;
    const dataDir = join(witness.runDir, 'etcd');
    const args = etcdArguments({ url: ETCD_URL, dataDir, peerPort: 2380 });
    const child = witness.spawn(ETCD, args, { log: 'etcd' });
    const init = [built('witness/main.js'), 'init', '--etcd', ETCD_URL, '--etcd-plaintext'];
    for (let deadline = performance.now() + 30_000; ; ) {
      try {
        await witness.run(process.execPath, init, { timeoutMs: 20_000 });
        return child;
      } catch (error) {
        if (child.exitCode !== null || performance.now() > deadline) throw error;
        await sleep(100);
      }
    }
  }

  /** Starts the proxy of a host; it holds. */
  async startProxy(name: string): Promise<ChildProcess> {
    const host = this.lab.host(name);
    const taps = host.taps.flatMap(tap => ['--tap', tap]);
    const args = [...taps, '--control', this.proxyPath(host), '--buffer-mib', '64'];
    args.push(...NO_FILES);
    const child = host.spawn(process.execPath, [built('proxy/main.js'), ...args], { log: 'proxy' });
    await this.#untilServed(child, this.proxyPath(host), host);
    return child;
  }

  /** Boots the guest on a host, with a monitor for its coordinator. */
  startGuest(name: string): Promise<Guest> {
    return startGuest(this.lab.host(name), { image: this.image, ...this.#options.guest });
  }

  /** Starts a coordinator and follows its events. */
  async startCoordinator(name: string, options: CoordinatorOptions): Promise<ChildProcess> {
    const host = this.lab.host(name);
    const peers = (options.peers ?? []).map(peer => this.lab.host(peer));
    const args = [
      ...['--vm', VM, '--host', name, '--role', options.role, ...NO_FILES],
      ...this.#registerOptions(),
      ...['--proxy', this.proxyPath(host)],
      ...['--control', this.coordinatorPath(name), '--run-dir', host.runDir],
      ...['--shadow-dir', join(host.shmDir, VM)],
      ...['--listen', `${host.replicationAddress}:${REPLICATION_PORT}`],
      ...['--keys', this.keyFile()],
      ...peers.flatMap(peer => ['--peer', `${peer.replicationAddress}:${REPLICATION_PORT}`]),
      ...(options.role === 'primary' ? ['--qmp', join(host.runDir, 'qmp.sock'), '--create'] : []),
      // The console of the test guest is a log file; both hosts append to it.
      ...['--allow-unheld', 'serial0'],
      // Those of the machine that the lab is on are not the lab's.
      ...['--hooks', 'none'],
      ...(this.#options.gateway === false ? [] : ['--gateway', GATEWAY_ADDRESS]),
      ...(options.flags ?? []),
      '--',
      ...(options.standbyCommand ??
        guestArguments(host, { image: this.image, ...this.#options.guest })),
      ...(options.standbyWords ?? []),
    ];
    const child = host.spawn(process.execPath, [built('coordinator/main.js'), ...args], {
      log: 'coordinator',
      ...(options.env ? { env: options.env } : {}),
    });
    await this.#untilServed(child, this.coordinatorPath(name), host);
    await this.#follow(name);
    return child;
  }

  /** The keys of all hosts, made when they are first asked for. An operator would copy the file to each of them. */
  keyFile(): string {
    const file = join(dirname(this.lab.witness.runDir), 'keys');
    if (!existsSync(file)) {
      const lines = this.lab.hosts.map(host => keyLine(host.name, randomBytes(32)));
      writeFileSync(file, lines.join(''), { mode: 0o600 });
    }
    return file;
  }

  proxyPath(host: LabHost): string {
    return join(host.runDir, 'proxy.sock');
  }

  coordinatorPath(name: string): string {
    return join(this.lab.host(name).runDir, 'coordinator.sock');
  }

  /** A host's coordinator's status; undefined when it does not answer. */
  async status(name: string): Promise<CoordinatorStatus | undefined> {
    const client = this.#clients.get(name);
    if (!client || client.closedBy) return undefined;
    return (await client.execute('query-status').catch(() => undefined)) as
      | CoordinatorStatus
      | undefined;
  }

  /** Sends a command to a host's coordinator. */
  async tell(name: string, command: string, args: JsonObject = { vm: VM }): Promise<unknown> {
    const client = this.#clients.get(name);
    if (!client) throw new CurlingError('CURLING_CONNECT', `no coordinator on ${name}`);
    return client.execute(command, args);
  }

  /**
   * Polls a host's status until `holds`.
   * @throws CurlingError CURLING_TIMEOUT with the last status
   */
  async untilStatus(
    name: string,
    what: string,
    holds: (status: CoordinatorStatus) => boolean,
    timeoutMs = 60_000,
  ): Promise<CoordinatorStatus> {
    const deadline = performance.now() + timeoutMs;
    let last: CoordinatorStatus | undefined;
    while (performance.now() < deadline) {
      last = await this.status(name);
      if (last && holds(last)) return last;
      await sleep(20);
    }
    const said = last ? `${last.state}: ${last.reason}` : 'no answer';
    throw new CurlingError(
      'CURLING_TIMEOUT',
      `host ${name} is not ${what} after ${timeoutMs} ms; ${said}`,
    );
  }

  /** Waits until `name` is protected. */
  untilProtected(name: string, timeoutMs?: number): Promise<CoordinatorStatus> {
    return this.untilStatus(name, 'protected', status => status.protected, timeoutMs);
  }

  /** Leaves everything up for someone to look at; returns how to do that and how to end it. */
  leave(): string {
    for (const client of this.#clients.values()) client.close();
    const control = this.lab.hosts.map(host => `--socket ${this.coordinatorPath(host.name)}`);
    const status = `Status: node build/ctl/main.js status ${control.join(' ')}`;
    return `${this.lab.leave()}${status}\n`;
  }

  async destroy(): Promise<void> {
    for (const client of this.#clients.values()) client.close();
    await this.lab.destroy();
  }

  #registerOptions(): string[] {
    return this.#options.register === 'etcd'
      ? ['--etcd', ETCD_URL, '--etcd-plaintext']
      : ['--witness', `10.77.0.9:${WITNESS_PORT}`];
  }

  async #follow(name: string): Promise<void> {
    const client = await QmpClient.connect(this.coordinatorPath(name));
    this.#clients.set(name, client);
    client.on('event', event => this.events.push({ ...event, host: name }));
  }

  /** Waits for a control socket; a program that ends before says why in its log. */
  async #untilServed(child: ChildProcess, socket: string, host: LabHost): Promise<void> {
    const deadline = performance.now() + 30_000;
    for (;;) {
      try {
        (await QmpClient.connect(socket, { connectTimeoutMs: 1_000 })).close();
        return;
      } catch (error) {
        const ended = child.exitCode !== null || child.signalCode !== null;
        if (!ended && performance.now() < deadline) {
          await sleep(20);
          continue;
        }
        const text = `${socket} on host ${host.name} is not served; see the logs in ${host.runDir}`;
        throw new CurlingError('CURLING_CONNECT', text, { cause: error });
      }
    }
  }
}

function built(path: string): string {
  return inRepository(`build/${path}`);
}

/** Waits until a program that serves TCP says so in its log, behind the first `from` bytes. */
async function untilLogged(
  child: ChildProcess,
  log: string,
  from: number,
  node: string,
): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!/"serving"/.test(readFileSync(log).toString('utf8', from))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      throw new CurlingError(
        'CURLING_CONNECT',
        `${node} does not serve: ${readFileSync(log, 'utf8')}`,
      );
    }
    await sleep(20);
  }
}
