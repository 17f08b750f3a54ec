/**
 * Several machines in one process: each has a thread of its own (thread.ts), and what the process has once is here: the
 * list of machines, HTTP, and the judgement of whether a machine's work goes on. A machine whose thread ends by itself is
 * started again after a while (back-off.ts), and the others notice nothing.
 *
 * Bound: MACHINES_MAX machines; more are said and left out.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Registry } from 'prom-client';
import type { Daemon, Service } from '../../common/daemon.ts';
import { type HttpHandler, type HttpRoutes, respond } from '../../common/http/service.ts';
import type { Logger } from '../../common/log.ts';
import { exportFamilies, type Family, oneOf } from '../../common/metric-families.ts';
import { createProcessRegistry } from '../../common/metrics.ts';
import type { CommandLine } from '../../common/options.ts';
import { reloadText, setLogLevel } from '../../common/reload.ts';
import { COORDINATOR } from '../config.ts';
import { assetRoutes } from '../page/assets.ts';
import { linkShareMemory, SLOTS } from '../replication/link-share.ts';
import { commonConfig, listedMachines } from './common-config.ts';
import { forward } from './forward.ts';
import { changeOf } from './machine-list.ts';
import { MachineThread, THREAD_STATES } from './machine-thread.ts';
import { type MetricDocument, mergedText } from './merged-metrics.ts';
import { type MachineOverview, overviewHtml } from './overview.ts';

/** As many as can share a link. */
export const MACHINES_MAX = SLOTS;
/** Between two looks at whether every machine's work goes on. */
const LOOK_MS = 1_000;
/** Nothing from elsewhere, no script, and nobody may frame it. */
const POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface SupervisorModules {
  line: CommandLine;
  log: Logger;
}

const MACHINES: Family<Supervisor>[] = [
  {
    name: 'curling_machine_thread_state',
    type: 'gauge',
    help: 'What became of the thread of a machine, in a process of several: one of them is 1.',
    read: ({ machines }) =>
      machines.flatMap(({ vm, state }) =>
        oneOf('state', THREAD_STATES, state).map(
          ([labels, value]) => [{ ...labels, vm }, value] as const,
        ),
      ),
  },
  {
    name: 'curling_machine_restarts_total',
    type: 'counter',
    help: 'Times that the thread of a machine was started again after it had ended by itself.',
    read: ({ machines }) => machines.map(({ vm, restarts }) => [{ vm }, restarts] as const),
  },
];

export class Supervisor {
  readonly #modules: SupervisorModules;
  readonly #machines = new Map<string, MachineThread>();
  /** Those that are being ended. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #link = linkShareMemory();
  readonly #freeSlots = Array.from({ length: SLOTS }, (_, slot) => slot);
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(modules: SupervisorModules) {
    this.#modules = modules;
    this.#timer = setInterval(() => {
      for (const machine of this.#machines.values()) machine.endIfStuck();
    }, LOOK_MS);
  }

  /** Sorted by name. */
  get machines(): readonly MachineThread[] {
    return [...this.#machines.values()].sort((a, b) => (a.vm < b.vm ? -1 : 1));
  }

  /**
   * Reads the list of machines: begins new ones, ends those that are gone, tells the others to read theirs.
   * @returns what was done, in words
   * @throws CurlingError CURLING_CONFIG, CURLING_USAGE; nothing is changed then
   */
  reload(): string {
    const { line, log } = this.#modules;
    const { logLevel } = commonConfig(line);
    const listed = listedMachines(line);
    const left = listed.splice(MACHINES_MAX);
    if (left.length > 0)
      log.error(`one process has ${MACHINES_MAX} machines at most; left out: ${left.join(', ')}`);
    const { begin, end, keep } = changeOf(this.#machines.keys(), listed);
    for (const vm of end) this.#end(vm);
    for (const vm of keep) this.#machines.get(vm)!.reload();
    for (const vm of begin) void this.#begin(vm);
    const words = setLogLevel(log, logLevel);
    if (begin.length > 0) words.push(`begun: ${begin.join(', ')}`);
    if (end.length > 0) words.push(`ended: ${end.join(', ')}`);
    return reloadText(words);
  }

  /** What the daemon asks of the whole process. */
  service(daemon: Pick<Daemon, 'http'>): Omit<Service, 'http'> {
    const registry = createProcessRegistry(COORDINATOR.program, daemon);
    exportFamilies(registry, MACHINES, () => this);
    const routes = this.#routes(registry);
    return {
      routes: path => routes[path] ?? this.#pageOf(path),
      status: () => this.#summary(),
      progress: () => this.#progress(),
      reload: () => this.reload(),
      dump: () => this.#overview(),
    };
  }

  /** Ends all machines in good order; guests that run here run on. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await Promise.all([...this.machines.map(machine => machine.end()), ...this.#leaving.values()]);
  }

  async #begin(vm: string): Promise<void> {
    const slot = this.#freeSlots.shift();
    if (slot === undefined)
      return this.#modules.log.error(`${vm} is not begun: those that end still have the link`);
    const { line, log } = this.#modules;
    const machine = new MachineThread(vm, { line, log, link: { memory: this.#link, slot } });
    this.#machines.set(vm, machine);
    // One of the same name may still have the sockets.
    await this.#leaving.get(vm);
    if (this.#machines.get(vm) === machine && !this.#closed) machine.start();
  }

  #end(vm: string): void {
    const machine = this.#machines.get(vm)!;
    this.#machines.delete(vm);
    const gone = machine.end().finally(() => {
      this.#freeSlots.push(machine.slot);
      this.#leaving.delete(vm);
    });
    this.#leaving.set(vm, gone);
  }

  #routes(registry: Registry): HttpRoutes {
    return {
      ...assetRoutes(this.#modules.log),
      '/': async (_request, response) => {
        response.setHeader('Content-Security-Policy', POLICY);
        response.setHeader('Referrer-Policy', 'no-referrer');
        respond(response, 200, 'text/html', overviewHtml(await this.#overview(), new Date()));
      },
      '/status.json': async (_request, response) => {
        const text = `${JSON.stringify({ machines: await this.#overview() })}\n`;
        respond(response, 200, 'application/json', text);
      },
      '/metrics': async (_request, response) => {
        const asked = this.machines.map(machine => machine.ask('metrics'));
        const own = (await registry.getMetricsAsJSON()) as MetricDocument[];
        const all = [own, ...(await Promise.all(asked)).map(answer => answer ?? [])];
        respond(response, 200, registry.contentType, await mergedText(all));
      },
    };
  }

  /** `/vm/NAME/…` is the machine's own page. */
  #pageOf(path: string): HttpHandler | undefined {
    const [, name, rest] = /^\/vm\/([^/]+)(\/.*)?$/.exec(path) ?? [];
    const machine = name === undefined ? undefined : this.#machines.get(name);
    if (!machine) return undefined;
    if (rest !== undefined) return forward(machine.httpPath, `/vm/${name}`);
    return (_request, response) => {
      response.setHeader('Location', `/vm/${name}/`);
      respond(response, 308, 'text/plain', 'see the page behind the slash\n');
    };
  }

  #overview(): Promise<MachineOverview[]> {
    return Promise.all(
      this.machines.map(async machine => {
        const status = (await machine.ask('document')) ?? null;
        const { vm, state: thread, summary, restarts } = machine;
        return { vm, thread, summary, restarts, status };
      }),
    );
  }

  #summary(): string {
    const words = this.machines.map(({ vm, summary }) => `${vm}: ${summary.split(' ')[0]}`);
    return words.length > 0 ? words.join(', ') : 'no machine has a file';
  }

  /** A machine that hangs is ended alone; only a thread that cannot be ended concerns the process. */
  async #progress(): Promise<boolean> {
    if (this.machines.every(machine => machine.progress)) return true;
    await sleep(2 * LOOK_MS);
    return this.machines.every(machine => machine.progress);
  }
}
