#!/usr/bin/env node
/**
 * curling-witness: remembers which host may run each virtual machine, for hosts that cannot ask
 * each other.
 */
import { rm } from 'node:fs/promises';
import { type Capability, keepOnly } from '../common/capabilities.ts';
import { CurlingError } from '../common/errors.ts';
import { createLogger, logLevel } from '../common/log.ts';
import { type CommandLine, type CommandSpec, requiredText, tcpAddress } from '../common/options.ts';
import { runProgram, untilTerminated } from '../common/program.ts';
import { testStopFrom } from '../common/test-stop.ts';
import { WIRE_OPTIONS, wireCredentials } from '../common/wire/credentials.ts';
import { ETCD_OPTIONS, etcdConfig } from '../coordinator/arbitration/etcd-options.ts';
import { sabotageFrom } from '../coordinator/sabotage.ts';
import { sabotagedTransition } from '../coordinator/sabotage-register.ts';
import { etcdCommand } from './etcd-command.ts';
import { forgetVm, forgotten } from './forget.ts';
import { witnessServer } from './service.ts';
import { initStore, WitnessStore } from './store.ts';

const SPEC: CommandSpec = {
  program: 'curling-witness',
  usage: '(init | forget VM | --listen HOST:PORT) --store FILE, or (init | forget VM) --etcd URL',
  summary: 'Keeps one compare-and-swap register per virtual machine: who may run it.',
  options: {
    listen: {
      type: 'string',
      value: 'HOST:PORT',
      help: 'serve the hosts at this TCP address',
    },
    store: { type: 'string', value: 'FILE', help: 'the file that holds the registers' },
    ...WIRE_OPTIONS,
    yes: { type: 'boolean', help: "forget: do not ask for the virtual machine's name" },
    'log-level': {
      type: 'string',
      value: 'LEVEL',
      help: 'debug, info, warn or error',
      default: 'info',
    },
    ...ETCD_OPTIONS,
  },
  notes: [
    'init creates an empty store with a new identity; the hosts refuse another one than they know.',
    'forget takes away the register of a VM that exists nowhere any more, so that its name can be',
    'created again. Only when no guest of this VM runs on any host: else it could exist twice.',
    'Registers in etcd need no witness: with --etcd, init and forget do the same there.',
    'Run it on a third machine: it decides when the two hosts lose sight of each other.',
  ],
};

async function main(line: CommandLine): Promise<number> {
  const etcd = etcdConfig(line.values);
  if (etcd) return etcdCommand(line, etcd);
  const file = requiredText('store', line.values.store);
  const [verb, ...rest] = line.positionals;
  if (verb === undefined) return serve(line, file);
  if (verb === 'init' && rest.length === 0) {
    process.stdout.write(`${await initStore(file)}\n`);
    return 0;
  }
  const [vm] = rest;
  if (verb === 'forget' && vm !== undefined && rest.length === 1) {
    const terminal = { input: process.stdin, output: process.stderr };
    process.stdout.write(
      forgotten(vm, await forgetVm(file, vm, line.values.yes === true, terminal)),
    );
    return 0;
  }
  const text = `expected init, forget VM or nothing, got ${line.positionals.join(' ')}`;
  throw new CurlingError('CURLING_USAGE', text);
}

async function serve(line: CommandLine, file: string): Promise<number> {
  const address = tcpAddress('listen', requiredText('listen', line.values.listen));
  const credentials = wireCredentials(line.values, { addresses: [['listen', address]] });
  const level = logLevel(line.values['log-level']);
  const needed: Capability[] = address.port < 1024 ? ['NET_BIND_SERVICE'] : [];
  const warning = await keepOnly(needed);
  const log = createLogger('curling-witness', level);
  if (warning) log.warn(warning);
  const sabotage = sabotageFrom(process.env, 'witness');
  if (sabotage)
    log.fatal(`this process is sabotaged for a test: ${sabotage}; nothing is protected`);
  if (sabotage === 'witness-forgets') await rm(file).then(() => initStore(file));
  const store = await WitnessStore.open(file, { transition: sabotagedTransition(sabotage) });
  const server = witnessServer(store, { credentials, log }, testStopFrom(process.env));
  try {
    await server.listen(address);
    const { tornBytesCut } = store.counters;
    if (tornBytesCut > 0) log.warn({ tornBytesCut }, 'an unfinished last line was cut off');
    const terminated = untilTerminated();
    log.info({ store: store.id, vms: store.vms, ...address }, 'serving');
    const signal = await Promise.race([terminated, store.failed]);
    log.info({ signal }, 'ending');
    return 0;
  } finally {
    await server.close();
    await store.close();
  }
}

await runProgram(SPEC, main);
