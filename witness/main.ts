#!/usr/bin/env node
/**
 * curling-witness: remembers which host may run each virtual machine, for hosts that cannot ask
 * each other.
 */
import { rm } from 'node:fs/promises';
import { type Capability, keepOnly } from '../common/capabilities.ts';
import { Daemon } from '../common/daemon.ts';
import { EXIT } from '../common/errors.ts';
import { createRegistry, metricsRoute } from '../common/metrics.ts';
import { runProgram, untilTerminated } from '../common/program.ts';
import { reloadService } from '../common/reload.ts';
import { testStopFrom } from '../common/test-stop.ts';
import { type Configuration, configure } from '../config/configure.ts';
import { sabotageFrom } from '../coordinator/sabotage.ts';
import { sabotagedTransition } from '../coordinator/sabotage-register.ts';
import { WITNESS, type WitnessConfig, type WitnessTask, witnessTask } from './config.ts';
import { etcdCommand } from './etcd-command.ts';
import { forgetVm, forgotten } from './forget.ts';
import { exportWitness } from './metrics.ts';
import { witnessServer } from './service.ts';
import { initStore, WitnessStore } from './store.ts';

await runProgram(WITNESS, async line => {
  const configuration = configure('witness', line, witnessTask);
  if (!configuration) return EXIT.ok;
  const task = configuration.config;
  switch (task.verb) {
    case 'etcd':
      return etcdCommand(task.line, task.etcd);
    case 'init':
      process.stdout.write(`${await initStore(task.store)}\n`);
      return EXIT.ok;
    case 'forget': {
      const terminal = { input: process.stdin, output: process.stderr };
      const register = await forgetVm(task.store, task.vm, task.yes, terminal);
      process.stdout.write(forgotten(task.vm, register));
      return EXIT.ok;
    }
    case 'serve':
      return serve(task.config, configuration);
  }
});

async function serve(
  config: WitnessConfig,
  configuration: Configuration<WitnessTask>,
): Promise<number> {
  const needed: Capability[] = config.listen.port < 1024 ? ['NET_BIND_SERVICE'] : [];
  const warning = await keepOnly(needed);
  const daemon = await Daemon.open({ program: WITNESS.program, logLevel: config.logLevel });
  const { log } = daemon;
  if (warning) log.warn(warning);
  const sabotage = sabotageFrom(process.env, 'witness');
  if (sabotage)
    log.fatal(`this process is sabotaged for a test: ${sabotage}; nothing is protected`);
  if (sabotage === 'witness-forgets') await rm(config.store).then(() => initStore(config.store));
  const store = await WitnessStore.open(config.store, {
    transition: sabotagedTransition(sabotage),
  });
  const server = witnessServer(
    store,
    { credentials: config.credentials, log },
    testStopFrom(process.env),
  );
  try {
    await server.listen(config.listen);
    const { tornBytesCut } = store.counters;
    if (tornBytesCut > 0) log.warn({ tornBytesCut }, 'an unfinished last line was cut off');
    const terminated = untilTerminated();
    log.info({ store: store.id, vms: store.vms, ...config.listen }, 'serving');
    const registry = createRegistry(WITNESS.program, daemon, server);
    exportWitness(registry, { store, server });
    daemon.serve({
      http: config.http,
      routes: { '/metrics': metricsRoute(registry) },
      status: () => `${store.vms} machines, ${server.clients} clients`,
      // A store that failed ends the process; one that hangs answers nobody.
      progress: async () => (await store.read('curling-watchdog')) === null,
      reload: () => {
        const task = configuration.reread();
        return task.verb === 'serve' ? reloadService(log, config, task.config) : 'nothing';
      },
      dump: () => ({ store: store.id, vms: store.vms, counters: store.counters }),
    });
    const signal = await Promise.race([terminated, store.failed]);
    log.info({ signal }, 'ending');
    return EXIT.ok;
  } finally {
    await daemon.close();
    await server.close();
    await store.close();
  }
}
