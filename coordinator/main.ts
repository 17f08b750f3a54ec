#!/usr/bin/env node
/** `curling-coordinator`: protects one virtual machine; see config.ts for what it is told. */
import { monotonicClock } from '../common/clock.ts';
import { CurlingError, EXIT } from '../common/errors.ts';
import { createLogger } from '../common/log.ts';
import { runProgram, untilTerminated } from '../common/program.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import { QmpServer } from '../common/qmp/server.ts';
import { WitnessClient } from './arbitration/witness-client.ts';
import { COORDINATOR, type CoordinatorConfig, coordinatorConfig } from './config.ts';
import { Coordinator } from './coordinator.ts';
import { IdentityFile } from './identity.ts';
import { ProxyClient } from './proxy-client.ts';
import { report } from './report.ts';
import { sabotageFrom } from './sabotage.ts';
import { stopAtFrom } from './test-stop.ts';

await runProgram(COORDINATOR, async line => {
  const config = coordinatorConfig(line);
  const log = createLogger('curling-coordinator', config.logLevel).child({ vm: config.vm });
  const sabotage = sabotageFrom(process.env);
  if (sabotage)
    log.fatal(`this process is sabotaged for a test: ${sabotage}; nothing is protected`);
  const stopAt = stopAtFrom(process.env);
  const identity = new IdentityFile(config.runDir);
  const witness = new WitnessClient(
    config.witness,
    config.witnessStore === undefined ? {} : { store: config.witnessStore },
  );
  let server: QmpServer | undefined;
  let coordinator: Coordinator | undefined;
  let proxy: ProxyClient | undefined;
  try {
    proxy = await ProxyClient.connect(config.proxyPath);
    const clock = monotonicClock;
    const modules = { config, clock, log, proxy, witness, identity, sabotage, stopAt };
    coordinator = await Coordinator.start(modules);
    server = controlServer(coordinator, config, proxy, witness);
    await server.listen(config.controlPath);
    log.info({ state: coordinator.state.name }, 'serving');
    const signal = await untilTerminated();
    log.info({ signal }, 'ending; the guest, if it runs here, runs on');
  } finally {
    await server?.close();
    await coordinator?.close();
    witness.close();
    proxy?.close();
  }
  return EXIT.ok;
});

function controlServer(
  coordinator: Coordinator,
  config: CoordinatorConfig,
  proxy: ProxyClient,
  witness: WitnessClient,
): QmpServer {
  const server = new QmpServer({
    program: 'curling-coordinator',
    commands: {
      'query-status': () => report(coordinator, config, proxy, witness),
      protect: args => forThisVm(config, args, () => coordinator.want(true)),
      unprotect: args => forThisVm(config, args, () => coordinator.want(false)),
      failover: args => forThisVm(config, args, () => coordinator.failover()),
    },
  });
  coordinator.on('event', (name, data) => server.emit(name, data));
  return server;
}

/** Commands that change something name the machine, so that none is meant for another one. */
function forThisVm(config: CoordinatorConfig, args: JsonObject, act: () => void): JsonObject {
  if (args.vm !== config.vm) {
    const text = `expected "vm": "${config.vm}", got ${JSON.stringify(args.vm) ?? 'nothing'}`;
    throw new CurlingError('CURLING_STATE', text);
  }
  act();
  return {};
}
