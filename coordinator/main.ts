#!/usr/bin/env node
/** `curling-coordinator`: protects one virtual machine; see config.ts for what it is told. */
import path from 'node:path';
import { type Capability, keepOnly } from '../common/capabilities.ts';
import { monotonicClock } from '../common/clock.ts';
import { Daemon } from '../common/daemon.ts';
import { CurlingError, EXIT } from '../common/errors.ts';
import { lock } from '../common/lock.ts';
import type { Logger } from '../common/log.ts';
import { createRegistry, metricsRoute } from '../common/metrics.ts';
import { runProgram, untilTerminated } from '../common/program.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import { QmpServer } from '../common/qmp/server.ts';
import { reloadService } from '../common/reload.ts';
import { shown } from '../common/shown.ts';
import { testStopFrom } from '../common/test-stop.ts';
import { socketFolder } from '../common/wire/private-file.ts';
import { type Configuration, configure } from '../config/configure.ts';
import { openRegister, type RegisterSource } from './arbitration/backend.ts';
import { COORDINATOR, type CoordinatorConfig, coordinatorConfig } from './config.ts';
import { Coordinator } from './coordinator.ts';
import { createMachine } from './create-machine.ts';
import { EventLog } from './event-log.ts';
import { GatewayProbe } from './gateway-probe.ts';
import { watchHeld } from './held-watch.ts';
import { Hooks } from './hooks/hooks.ts';
import { IdentityFile } from './identity.ts';
import { exportCoordinator } from './metrics/metrics.ts';
import { StatusPage } from './page/status-page.ts';
import { ProxyClient } from './proxy-client.ts';
import { report } from './report.ts';
import { sabotageFrom } from './sabotage.ts';
import { decideByReachability } from './sabotage-register.ts';

/** Its own needs, and those of the QEMU that it starts; docs/operations.md has the reason of each. */
const NEEDED: readonly Capability[] = [
  'NET_RAW',
  'KILL',
  'DAC_OVERRIDE',
  'NET_ADMIN',
  'IPC_LOCK',
  'SETUID',
  'SETGID',
  'SYS_CHROOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_PTRACE',
];

/**
 * A queue of events that stands still for this long is stuck: the longest action, a resume, has shorter time-outs. It must
 * stand here: what is behind the next statement is not there before the program ends.
 */
const STUCK_MS = 30_000;

await runProgram(COORDINATOR, async line => {
  const configuration = configure('coordinator', line, coordinatorConfig);
  if (!configuration) return EXIT.ok;
  const { config } = configuration;
  const low: Capability[] = config.listen.port < 1024 ? ['NET_BIND_SERVICE'] : [];
  const warning = await keepOnly([...NEEDED, ...low]);
  const daemon = await Daemon.open({
    program: COORDINATOR.program,
    logLevel: config.logLevel,
    log: { vm: config.vm },
  });
  const { log } = daemon;
  if (warning) log.warn(warning);
  const sabotage = sabotageFrom(process.env, 'coordinator');
  if (sabotage)
    log.fatal(`this process is sabotaged for a test: ${sabotage}; nothing is protected`);
  const stopAt = testStopFrom(process.env) ?? (() => {});
  checkFolders(config, log);
  const witness = openRegister(config);
  if (sabotage === 'gateway-decides') decideByReachability(witness);
  let begin!: (parts: Parts) => void;
  const started = new Promise<Parts>(resolve => {
    begin = resolve;
  });
  const hooks = new Hooks({ folder: config.hooksFolder, timeoutMs: config.hookTimeoutMs, log });
  const events = new EventLog();
  const means = { config, witness, hooks, events };
  const server = controlServer(started, means);
  let coordinator: Coordinator | undefined;
  let proxy: ProxyClient | undefined;
  let gateway: GatewayProbe | undefined;
  try {
    // First of all: whoever serves this socket already must not lose its files or its standby to this process.
    await server.listen(config.controlPath);
    lockRunDir(config);
    // Not before: what it remembers may still be changed by who had the directory until now.
    const identity = new IdentityFile(config.runDir);
    if (config.createOnly) {
      process.stdout.write(await createMachine(config, identity, witness));
      return EXIT.ok;
    }
    proxy = await ProxyClient.connect(config.proxyPath);
    const clock = monotonicClock;
    gateway =
      config.gateways.length > 0 ? await GatewayProbe.open(config.gateways, clock, log) : undefined;
    const modules = { config, clock, log, proxy, witness, identity, sabotage, stopAt, gateway };
    await hooks.open();
    // The server listens already, so that whoever follows its events hears of the start too.
    coordinator = await Coordinator.start(modules, (name, data) => {
      server.emit(name, data);
      hooks.take(name, data);
      events.take(name, data, new Date());
    });
    begin({ coordinator, proxy });
    log.info({ state: coordinator.state.name }, 'serving');
    serveOthers({ coordinator, proxy }, { ...means, server }, configuration, daemon);
    watchHeld(coordinator, proxy);
    const signal = await untilTerminated();
    log.info({ signal }, 'ending; the guest, if it runs here, runs on');
  } finally {
    await daemon.close();
    await server.close();
    await coordinator?.close();
    gateway?.close();
    witness.close();
    proxy?.close();
    // Last: a hook that takes its time keeps nobody waiting.
    await hooks.close();
  }
  return EXIT.ok;
});

function checkFolders({ runDir, controlPath }: CoordinatorConfig, log: Logger): void {
  for (const folder of new Set([runDir, path.dirname(controlPath)])) {
    const open = socketFolder(folder);
    if (open) log.warn(open);
  }
}

/** Who serves another socket may have the same directory. */
function lockRunDir({ runDir }: CoordinatorConfig): void {
  lock(`${runDir}/coordinator`, 'CURLING_SOCKET_IN_USE', 'give each --vm its own --run-dir');
}

interface Parts {
  coordinator: Coordinator;
  proxy: ProxyClient;
}

/** What there is before the coordinator has started. */
interface Means {
  config: CoordinatorConfig;
  witness: RegisterSource;
  hooks: Hooks;
  events: EventLog;
}

function serveOthers(
  { coordinator, proxy }: Parts,
  { config, witness, hooks, events, server }: Means & { server: QmpServer },
  configuration: Configuration<CoordinatorConfig>,
  daemon: Daemon,
): void {
  const document = () => report(coordinator, config, proxy, witness, hooks);
  const registry = createRegistry(COORDINATOR.program, daemon, server, { vm: config.vm });
  const { telemetry } = coordinator;
  const page = new StatusPage({
    document,
    history: cursor => telemetry.history.read(monotonicClock.now(), Date.now(), cursor),
    delays: () => telemetry.delay.durations(),
    events,
    log: daemon.log,
  });
  coordinator.on('event', () => page.happened());
  exportCoordinator(registry, { coordinator, proxy, witness, hooks, streams: page.streams });
  daemon.serve({
    http: config.http,
    routes: { ...page.routes, '/metrics': metricsRoute(registry) },
    status: () => `${coordinator.state.name} ${coordinator.reason}`,
    progress: () => coordinator.busyMs < STUCK_MS,
    reload: () => reloadService(daemon.log, config, configuration.reread()),
    dump: document,
  });
}

/** @param started Gives the parts once they have started: commands wait for them. */
function controlServer(started: Promise<Parts>, { config, witness, hooks }: Means): QmpServer {
  const own = async (args: JsonObject) => {
    checkVm(config, args);
    return (await started).coordinator;
  };
  return new QmpServer({
    program: 'curling-coordinator',
    commands: {
      'query-status': async () => {
        const { coordinator, proxy } = await started;
        return report(coordinator, config, proxy, witness, hooks);
      },
      'query-history': async ({ cursor }) => {
        const { history } = (await started).coordinator.telemetry;
        return history.read(monotonicClock.now(), Date.now(), String(cursor ?? ''));
      },
      protect: async args => (await own(args)).want(true),
      unprotect: async args => (await own(args)).want(false),
      failover: async args => (await own(args)).failover(),
      drill: async args => (await own(args)).backup.drill(),
      checkpoint: async args => (await own(args)).primary.checkpoint(args),
    },
  });
}

/** Commands that change something name the machine, so that none is meant for another one. */
function checkVm(config: CoordinatorConfig, args: JsonObject): void {
  if (args.vm === config.vm) return;
  const text = `expected "vm": "${config.vm}", got ${shown(args.vm)}`;
  throw new CurlingError('CURLING_STATE', text);
}
