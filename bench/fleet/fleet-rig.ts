/** Several protected guests on two hosts, whose coordinators run together or apart, and what they use. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { JsonObject } from '../../common/qmp/messages.ts';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import type { Percentiles } from '../../lab/client/round-trips.ts';
import { ClientProcess } from '../../lab/client-process.ts';
import { Fleet, type FleetMachine } from '../../lab/fleet.ts';
import { procText } from '../../lab/processes.ts';
import { cpuNs } from '../guest/cpu.ts';

/** One process for all machines of a host, or one for each. */
export type Way = 'together' | 'apart';

/** Busy processors make a host silent for longer than an operator would wait. */
const SETTINGS = ['detection = 3000'];
const END_MS_MAX = 20_000;

/** Of all coordinators of both hosts. */
export interface Used {
  atMs: number;
  cpuMs: number;
  residentBytes: number;
}

export class FleetRig {
  readonly fleet: Fleet;
  readonly #signal: AbortSignal;
  #coordinators: ChildProcess[] = [];

  private constructor(fleet: Fleet, signal: AbortSignal) {
    this.fleet = fleet;
    this.#signal = signal;
  }

  /** Boots all guests; none is protected yet. */
  static async create(machines: readonly FleetMachine[], signal: AbortSignal): Promise<FleetRig> {
    const fleet = await Fleet.create({ machines, settings: SETTINGS });
    const rig = new FleetRig(fleet, signal);
    try {
      for (const machine of machines) {
        signal.throwIfAborted();
        await fleet.begin(machine);
      }
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  /** Ends the coordinators that run, and starts others for these machines alone. */
  async become(way: Way, machines: readonly string[]): Promise<void> {
    await this.#end();
    this.#signal.throwIfAborted();
    this.fleet.list(machines);
    for (const { name } of this.fleet.deployment.lab.hosts) {
      if (way === 'apart') this.#coordinators.push(...(await this.fleet.startApart(name)));
      else this.#coordinators.push(await this.fleet.startTogether(name));
    }
  }

  /** Coordinators on one host alone: its guests may speak, and nothing is copied. */
  async free(host: string): Promise<void> {
    await this.#end();
    this.#coordinators.push(await this.fleet.startTogether(host));
    for (const { name, home } of this.fleet.machines) {
      if (home !== host) continue;
      await this.fleet.untilStatus(host, name, ({ proxy }) => proxy.state === 'bypass');
    }
  }

  /** @throws CurlingError CURLING_TIMEOUT */
  untilProtected(machine: string, timeoutMs = 120_000): Promise<CoordinatorStatus> {
    this.#signal.throwIfAborted();
    return this.fleet.untilProtected(this.#home(machine), machine, timeoutMs);
  }

  async status(machine: string): Promise<CoordinatorStatus> {
    return this.fleet.untilStatus(this.#home(machine), machine, () => true);
  }

  /** Talks to a guest while `work` is done; round trips in milliseconds. */
  async talkingTo<T>(
    machines: readonly string[],
    rate: number,
    work: () => Promise<T>,
  ): Promise<{ trips: Percentiles[]; result: T }> {
    const { client } = this.fleet.deployment.lab;
    const clients = await Promise.all(
      machines.map(machine => {
        const to = ['--to', `${this.fleet.address(machine)}:7`, '--rate', String(rate)];
        return ClientProcess.start(client, 'echo', [...to, '--progress', '1000']);
      }),
    );
    const result = await work();
    const summaries = await Promise.all(clients.map(each => each.stop()));
    return {
      trips: summaries.map(({ roundTrips }) => roundTrips as unknown as Percentiles),
      result,
    };
  }

  /** Tells the services of a guest something. */
  async tell(machine: string, line: string): Promise<JsonObject> {
    const { client } = this.fleet.deployment.lab;
    const control = await ClientProcess.start(client, 'control', [
      ...['--guest', this.fleet.address(machine)],
    ]);
    const answer = await control.ask(line);
    await control.stop();
    return answer;
  }

  /** Limits what each host hears over the replication link, in the middle of it, where no host sees the queue. */
  async limitLink(mbit: number): Promise<void> {
    const { lan, hosts } = this.fleet.deployment.lab;
    for (const { name } of hosts) {
      const rate = ['rate', `${mbit}mbit`, 'burst', '256kb', 'latency', '50ms'];
      const device = ['dev', lan.replicationPort(name)];
      await lan.run('tc', ['qdisc', 'replace', ...device, 'root', 'tbf', ...rate]);
    }
  }

  used(): Used {
    const pids = this.#coordinators.map(({ pid }) => pid!);
    const cpuMs = pids.reduce((sum, pid) => sum + cpuNs(pid) / 1e6, 0);
    const resident = (pid: number) =>
      1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(procText(pid, 'status'))?.[1] ?? 0);
    const residentBytes = pids.reduce((sum, pid) => sum + resident(pid), 0);
    return { atMs: performance.now(), cpuMs, residentBytes };
  }

  async close(): Promise<void> {
    await this.#end();
    await this.fleet.destroy();
  }

  #home(machine: string): string {
    return this.fleet.machines.find(({ name }) => name === machine)!.home;
  }

  async #end(): Promise<void> {
    const ending = this.#coordinators.splice(0);
    await Promise.all(
      ending.map(async child => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        const late = setTimeout(() => child.kill('SIGKILL'), END_MS_MAX);
        await ended;
        clearTimeout(late);
      }),
    );
  }
}
