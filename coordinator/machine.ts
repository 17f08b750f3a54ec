/**
 * All that one machine has in a coordinator's process: its control socket, its register, its hooks, its proxy, its status
 * page and metrics. What belongs to the process alone (signals, the service manager, HTTP, the gateways' raw socket) is
 * given to it by main.ts, or by the supervisor of several machines (supervisor.ts).
 */
import path from 'node:path';
import type { Registry } from 'prom-client';
import { monotonicClock } from '../common/clock.ts';
import { CurlingError } from '../common/errors.ts';
import { type Lock, lock } from '../common/lock.ts';
import type { Logger } from '../common/log.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import { QmpServer } from '../common/qmp/server.ts';
import { shown } from '../common/shown.ts';
import { testStopFrom } from '../common/test-stop.ts';
import { socketFolder } from '../common/wire/private-file.ts';
import { openRegister, type RegisterSource } from './arbitration/backend.ts';
import type { CoordinatorConfig } from './config.ts';
import { Coordinator } from './coordinator.ts';
import { createMachine } from './create-machine.ts';
import { EventLog } from './event-log.ts';
import type { Gateway } from './gateway-probe.ts';
import { watchHeld } from './held-watch.ts';
import { Hooks } from './hooks/hooks.ts';
import { IdentityFile } from './identity.ts';
import { exportCoordinator } from './metrics/metrics.ts';
import { StatusPage } from './page/status-page.ts';
import { ProxyClient } from './proxy-client.ts';
import type { LinkShare } from './replication/link-share.ts';
import { report } from './report.ts';
import { type Sabotage, sabotageFrom } from './sabotage.ts';
import { decideByReachability } from './sabotage-register.ts';
import type { CoordinatorStatus } from './status.ts';

/**
 * A queue of events that stands still for this long is stuck: the longest action, a resume, has shorter time-outs.
 */
const STUCK_MS = 30_000;

export interface MachineModules {
  config: CoordinatorConfig;
  log: Logger;
  /** What asks its gateways; called once, and only when it has some. The machine closes it. */
  gateway(): Promise<Gateway>;
  /** With which machines it shares the replication link; undefined: with none. */
  share?: LinkShare;
}

/** What there is once the machine has started. */
interface Parts {
  coordinator: Coordinator;
  proxy: ProxyClient;
}

export class Machine {
  readonly config: CoordinatorConfig;
  readonly server: QmpServer;
  readonly #modules: MachineModules;
  readonly #log: Logger;
  readonly #sabotage: Sabotage | undefined;
  readonly #witness: RegisterSource;
  readonly #hooks: Hooks;
  readonly #events = new EventLog();
  /** Commands wait for it. */
  readonly #started: Promise<Parts>;
  #begin!: (parts: Parts) => void;
  #lock: Lock | undefined;
  #identity: IdentityFile | undefined;
  #coordinator: Coordinator | undefined;
  #proxy: ProxyClient | undefined;
  #gateway: Gateway | undefined;
  #page: StatusPage | undefined;

  private constructor(modules: MachineModules) {
    const { config, log } = modules;
    this.#modules = modules;
    this.config = config;
    this.#log = log;
    this.#sabotage = sabotageFrom(process.env, 'coordinator');
    if (this.#sabotage)
      log.fatal(`this process is sabotaged for a test: ${this.#sabotage}; nothing is protected`);
    this.#witness = openRegister(config);
    if (this.#sabotage === 'gateway-decides') decideByReachability(this.#witness);
    this.#started = new Promise<Parts>(resolve => {
      this.#begin = resolve;
    });
    this.#hooks = new Hooks({ folder: config.hooksFolder, timeoutMs: config.hookTimeoutMs, log });
    this.server = new QmpServer({ program: 'curling-coordinator', commands: this.#commands() });
  }

  /**
   * Takes the machine's place on this host: its control socket and its directory. `close` gives them back.
   * @throws CurlingError CURLING_SOCKET_IN_USE when somebody else has them
   */
  static async open(modules: MachineModules): Promise<Machine> {
    checkFolders(modules.config, modules.log);
    const machine = new Machine(modules);
    const { runDir, controlPath } = modules.config;
    try {
      // First of all: whoever serves this socket already must not lose its files or its standby to this process.
      await machine.server.listen(controlPath);
      // Who serves another socket may have the same directory.
      const rule = 'give each --vm its own --run-dir';
      machine.#lock = lock(`${runDir}/coordinator`, 'CURLING_SOCKET_IN_USE', rule);
      // Not before: what it remembers may still be changed by who had the directory until now.
      machine.#identity = new IdentityFile(runDir);
    } catch (error) {
      await machine.close();
      throw error;
    }
    return machine;
  }

  /** Makes the machine's register. @throws CurlingError as createMachine @returns what was done, for the operator */
  create(): Promise<string> {
    return createMachine(this.config, this.#identity!, this.#witness);
  }

  /**
   * Begins to protect, in whichever role; `close` is still needed when it fails.
   * @throws CurlingError as Coordinator.start; CURLING_CONNECT without a proxy; as GatewayProbe.open
   */
  async start(): Promise<void> {
    const { config } = this;
    const log = this.#log;
    const identity = this.#identity!;
    const proxy = await ProxyClient.connect(config.proxyPath);
    this.#proxy = proxy;
    if (config.gateways.length > 0) this.#gateway = await this.#modules.gateway();
    const modules = {
      ...{ config, clock: monotonicClock, log, proxy, witness: this.#witness, identity },
      ...{ sabotage: this.#sabotage, stopAt: testStopFrom(process.env) ?? (() => {}) },
      ...{ gateway: this.#gateway, share: this.#modules.share },
    };
    await this.#hooks.open();
    // The server listens already, so that whoever follows its events hears of the start too.
    const coordinator = await Coordinator.start(modules, (name, data) => {
      this.server.emit(name, data);
      this.#hooks.take(name, data);
      this.#events.take(name, data, new Date());
    });
    this.#coordinator = coordinator;
    this.#begin({ coordinator, proxy });
    log.info({ state: coordinator.state.name }, 'serving');
    const { telemetry } = coordinator;
    const page = new StatusPage({
      document: () => this.document(),
      history: cursor => telemetry.history.read(monotonicClock.now(), Date.now(), cursor),
      delays: () => telemetry.delay.durations(),
      events: this.#events,
      log,
    });
    coordinator.on('event', () => page.happened());
    this.#page = page;
    watchHeld(coordinator, proxy);
  }

  /** Tells all that want to hear of this machine that what served it before has ended by itself. Only after `start`. */
  begunAgain(reason: string, restarts: number): void {
    const { vm, host } = this.config;
    this.#coordinator!.emit('event', 'COORDINATOR_RESTARTED', { vm, host, reason, restarts });
  }

  /** What serves the machine's page. Only after `start`. */
  get page(): StatusPage {
    return this.#page!;
  }

  /** One line: the state and its reason. Only after `start`. */
  get summary(): string {
    const { state, reason } = this.#coordinator!;
    return `${state.name} ${reason}`;
  }

  /** Whether the work goes on. Only after `start`. */
  get progress(): boolean {
    return this.#coordinator!.busyMs < STUCK_MS;
  }

  /** The status document. */
  async document(): Promise<CoordinatorStatus> {
    const { coordinator, proxy } = await this.#started;
    return report(coordinator, this.config, proxy, this.#witness, this.#hooks);
  }

  /** Adds the machine's own metrics. Only after `start`. */
  export(registry: Registry): void {
    const [coordinator, proxy] = [this.#coordinator!, this.#proxy!];
    const others = { witness: this.#witness, hooks: this.#hooks, streams: this.page.streams };
    exportCoordinator(registry, { coordinator, proxy, ...others });
  }

  /** Ends the work and gives the machine's place back; a guest that runs here runs on, its output stays as it is. */
  async close(): Promise<void> {
    await this.server.close();
    await this.#coordinator?.close();
    this.#gateway?.close();
    this.#witness.close();
    this.#proxy?.close();
    // Late: a hook that takes its time keeps nobody waiting.
    await this.#hooks.close();
    this.#lock?.release();
  }

  #commands(): ConstructorParameters<typeof QmpServer>[0]['commands'] {
    const own = async (args: JsonObject) => {
      checkVm(this.config, args);
      return (await this.#started).coordinator;
    };
    return {
      'query-status': () => this.document(),
      'query-history': async ({ cursor }) => {
        const { history } = (await this.#started).coordinator.telemetry;
        return history.read(monotonicClock.now(), Date.now(), String(cursor ?? ''));
      },
      protect: async args => (await own(args)).want(true),
      unprotect: async args => (await own(args)).want(false),
      failover: async args => (await own(args)).failover(),
      drill: async args => (await own(args)).backup.drill(),
      checkpoint: async args => (await own(args)).primary.checkpoint(args),
    };
  }
}

function checkFolders({ runDir, controlPath }: CoordinatorConfig, log: Logger): void {
  for (const folder of new Set([runDir, path.dirname(controlPath)])) {
    const open = socketFolder(folder);
    if (open) log.warn(open);
  }
}

/** Commands that change something name the machine, so that none is meant for another one. */
function checkVm(config: CoordinatorConfig, args: JsonObject): void {
  if (args.vm === config.vm) return;
  const text = `expected "vm": "${config.vm}", got ${shown(args.vm)}`;
  throw new CurlingError('CURLING_STATE', text);
}
