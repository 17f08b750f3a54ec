/**
 * The test bed: hosts, a client and a witness as network namespaces on one machine, joined by a LAN bridge and a
 * separate replication bridge (plan.ts has the picture). Needs root and iproute2. Used by the demo, tests and the bench.
 */
import { mkdirSync } from 'node:fs';
import { CurlingError } from '../common/errors.ts';
import { run } from '../common/run.ts';
import {
  type Cable,
  cutLink,
  cutOneWay,
  type Direction,
  type Link,
  restoreLink,
} from './cables.ts';
import { forgetAtExit, removeAtExit, removeLab, sweepLabs } from './cleanup.ts';
import { LabHost, LabNode, LanNode } from './node.ts';
import { checkHosts, type NodePlan, planLab } from './plan.ts';
import { createRecord, type LabRecord, writeRecord } from './record.ts';
import { untilSettled } from './settle.ts';

export interface LabOptions {
  /** Names of the hosts, default a and b. Their addresses end in .11, .12, … in this order. */
  hosts?: readonly string[];
  /** Taps of each host, for a guest with two cards, or for several guests; 1 (default) to 4. */
  taps?: number;
  /** The lab stays up when this process ends, however it ends. Default false. */
  keep?: boolean;
}

/** ip and nft are quick, but the machine may be busy. */
const TOOL_MS_MAX = 30_000;

/**
 * Before a node's interfaces come up: no IPv6, whose own chatter no test expects, and no packet filter of the machine
 * on bridged frames.
 */
const NODE_SCRIPT = `
for key in all default; do
  [ ! -e "/proc/sys/net/ipv6/conf/$key/disable_ipv6" ] || echo 1 > "/proc/sys/net/ipv6/conf/$key/disable_ipv6"
done
for key in iptables ip6tables arptables; do
  [ ! -e "/proc/sys/net/bridge/bridge-nf-call-$key" ] || echo 0 > "/proc/sys/net/bridge/bridge-nf-call-$key"
done
exec ip -batch -
`;

export class Lab {
  /** Unique on this machine; what the lab makes outside its namespaces begins so. */
  readonly name: string;
  readonly hosts: readonly LabHost[];
  readonly client: LabNode;
  readonly witness: LabNode;
  readonly lan: LanNode;
  readonly #record: LabRecord;
  #destroyed: Promise<void> | undefined;

  private constructor(record: LabRecord, taps: number) {
    this.#record = record;
    this.name = record.name;
    this.hosts = record.hosts.map((host, index) => new LabHost(record.name, host, index, taps));
    this.client = new LabNode(record.name, 'client');
    this.witness = new LabNode(record.name, 'witness');
    this.lan = new LanNode(record.name, 'lan');
  }

  /**
   * Builds a lab; removes what dead labs left first. The lab goes away with this process unless it is kept.
   * @throws CurlingError CURLING_USAGE for bad host names, CURLING_NOT_ROOT, CURLING_TOOL_MISSING, CURLING_TOOL_FAILED
   */
  static async create(options: LabOptions = {}): Promise<Lab> {
    const hosts = options.hosts ?? ['a', 'b'];
    checkHosts(hosts);
    if (process.getuid?.() !== 0)
      throw new CurlingError('CURLING_NOT_ROOT', 'a lab needs root: it makes network namespaces');
    Lab.sweep();
    const lab = new Lab(createRecord(hosts, options.keep ?? false), options.taps ?? 1);
    if (!options.keep) removeAtExit(lab.name);
    try {
      await lab.#build();
    } catch (error) {
      await lab.destroy();
      throw error;
    }
    return lab;
  }

  /** Removes labs whose owner is dead. Returns their names. */
  static sweep(): string[] {
    return sweepLabs();
  }

  async #build(): Promise<void> {
    const plan = planLab(
      this.name,
      this.hosts.map(host => host.name),
      this.hosts[0]!.taps.length,
    );
    for (const node of this.nodes) mkdirSync(node.runDir, { recursive: true, mode: 0o700 });
    for (const host of this.hosts) mkdirSync(host.shmDir, { recursive: true, mode: 0o700 });
    await run('ip', ['-batch', '-'], { input: lines(plan.links), timeoutMs: TOOL_MS_MAX });
    await Promise.all(plan.nodes.map(node => this.#setUp(node)));
    await Promise.all(plan.nodes.map(node => untilSettled(node.namespace)));
  }

  async #setUp(plan: NodePlan): Promise<void> {
    const args = ['netns', 'exec', plan.namespace, 'sh', '-ec', NODE_SCRIPT];
    await run('ip', args, { input: lines(plan.batch), timeoutMs: TOOL_MS_MAX });
  }

  /** Every node: hosts, client, witness, lan. */
  get nodes(): readonly LabNode[] {
    return [...this.hosts, this.client, this.witness, this.lan];
  }

  /**
   * A host by its name.
   * @throws CurlingError CURLING_USAGE when the lab has none of this name
   */
  host(name: string): LabHost {
    const host = this.hosts.find(candidate => candidate.name === name);
    if (!host) throw new CurlingError('CURLING_USAGE', `lab ${this.name} has no host ${name}`);
    return host;
  }

  /**
   * Cuts links of a host, in the given order; default the whole host off: replication, then LAN. Silent (cables.ts):
   * neither the host nor anybody else is told.
   */
  async cut(host: string, ...links: Link[]): Promise<void> {
    for (const link of links.length > 0 ? links : (['replication', 'lan'] as const))
      await cutLink(this.lan, this.host(host), link);
  }

  /** Cuts a cable of a host in one direction; `restore` joins it. */
  async cutOneWay(host: string, cable: Cable, direction: Direction): Promise<void> {
    await cutOneWay(this.lan, this.host(host), cable, direction);
  }

  /** Joins links again; default every one. */
  async restore(host: string, ...links: Link[]): Promise<void> {
    for (const link of links.length > 0
      ? links
      : (['lan', 'replication', 'witness', 'client'] as const))
      await restoreLink(this.lan, this.host(host), link);
  }

  /** Kills every process of a host at once, with SIGKILL; returns how many. The host's kernel state stays. */
  kill(host: string): number {
    return this.host(host).kill();
  }

  /** Stops every process of a host, with SIGSTOP. */
  freeze(host: string): void {
    this.host(host).freeze();
  }

  /** Lets a frozen host run on. */
  thaw(host: string): void {
    this.host(host).thaw();
  }

  /** Ends all processes and removes all namespaces, links, shared memory and files. May be repeated. */
  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy();
    return this.#destroyed;
  }

  async #destroy(): Promise<void> {
    await Promise.all(this.nodes.map(node => node.close()));
    removeLab(this.name);
    forgetAtExit(this.name);
  }

  /** Leaves the lab up for someone to look at; this process may end. Returns how to enter it and how to end it. */
  leave(): string {
    writeRecord({ ...this.#record, keep: true });
    forgetAtExit(this.name);
    for (const node of this.nodes) node.unref();
    return this.instructions();
  }

  /** How to look around in the lab and how to end it. */
  instructions(): string {
    const enter = this.nodes.map(node => `  ip netns exec ${node.namespace} bash`);
    return [
      `Lab ${this.name}. Enter a node:`,
      ...enter,
      `Logs, sockets and serial lines: ${this.host(this.hosts[0]!.name).runDir}/ and its siblings`,
      `End it: node build/lab/end.js ${this.name}`,
      '',
    ].join('\n');
  }
}

function lines(texts: readonly string[]): string {
  return texts.map(text => `${text}\n`).join('');
}
