#!/usr/bin/env node
/**
 * `curling-coordinator`: protects one virtual machine, or with --all every one that has a file below /etc/curling/vm; see
 * config.ts for what it is told.
 */
import { type Capability, keepOnly } from '../common/capabilities.ts';
import { monotonicClock } from '../common/clock.ts';
import { Daemon } from '../common/daemon.ts';
import { EXIT } from '../common/errors.ts';
import { returnLargeMemory } from '../common/large-memory.ts';
import { createRegistry, metricsRoute } from '../common/metrics.ts';
import type { CommandLine } from '../common/options.ts';
import { runProgram, untilTerminated } from '../common/program.ts';
import { reloadService } from '../common/reload.ts';
import { PRIVATE_UMASK } from '../common/wire/server.ts';
import { configure } from '../config/configure.ts';
import { COORDINATOR, coordinatorConfig } from './config.ts';
import { GatewayProbe } from './gateway-probe.ts';
import { Machine } from './machine.ts';
import { checkAll, commonConfig } from './many/common-config.ts';
import { Supervisor } from './many/supervisor.ts';

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

await runProgram(COORDINATOR, line => {
  // For the slabs of staging pools.
  returnLargeMemory();
  return line.values.all === true ? protectAll(line) : protect(line);
});

/** One machine, in this thread. */
async function protect(line: CommandLine): Promise<number> {
  const configuration = configure('coordinator', line, coordinatorConfig);
  if (!configuration) return EXIT.ok;
  const { config } = configuration;
  const low: Capability[] = config.listen.port < 1024 ? ['NET_BIND_SERVICE'] : [];
  const warning = await keepOnly([...NEEDED, ...low]);
  const log = { vm: config.vm };
  const daemon = await Daemon.open({
    program: COORDINATOR.program,
    logLevel: config.logLevel,
    log,
  });
  if (warning) daemon.log.warn(warning);
  const gateway = () => GatewayProbe.open(config.gateways, monotonicClock, daemon.log);
  let machine: Machine | undefined;
  try {
    machine = await Machine.open({ config, log: daemon.log, gateway });
    if (config.createOnly) {
      process.stdout.write(await machine.create());
      return EXIT.ok;
    }
    const serving = machine;
    await serving.start();
    const registry = createRegistry(COORDINATOR.program, daemon, serving.server, log);
    serving.export(registry);
    daemon.serve({
      http: config.http,
      routes: { ...serving.page.routes, '/metrics': metricsRoute(registry) },
      status: () => serving.summary,
      progress: () => serving.progress,
      reload: () => reloadService(daemon.log, config, configuration.reread()),
      dump: () => serving.document(),
    });
    const signal = await untilTerminated();
    daemon.log.info({ signal }, 'ending; the guest, if it runs here, runs on');
  } finally {
    await daemon.close();
    await machine?.close();
  }
  return EXIT.ok;
}

/** Every machine of the configuration, each in a thread of its own. */
async function protectAll(line: CommandLine): Promise<number> {
  if (checkAll(line)) return EXIT.ok;
  // For the sockets of all threads, which cannot set it; what they start inherits it, as from the unit of systemd.
  process.umask(PRIVATE_UMASK);
  const { http, logLevel } = commonConfig(line);
  // A machine that comes later may have a low port too.
  const warning = await keepOnly([...NEEDED, 'NET_BIND_SERVICE']);
  const daemon = await Daemon.open({ program: COORDINATOR.program, logLevel });
  if (warning) daemon.log.warn(warning);
  const supervisor = new Supervisor({ line, log: daemon.log });
  try {
    supervisor.reload();
    daemon.serve({ http, ...supervisor.service(daemon) });
    const signal = await untilTerminated();
    daemon.log.info({ signal }, 'ending; guests that run here run on');
  } finally {
    await daemon.close();
    await supervisor.close();
  }
  return EXIT.ok;
}
