/** What curling-witness is told, by its command line and its files. */
import { daemonOptions } from '../common/daemon-options.ts';
import { CurlingError } from '../common/errors.ts';
import { type HttpAddress, httpAddress } from '../common/http/address.ts';
import { logLevel } from '../common/log.ts';
import {
  type CommandLine,
  type CommandSpec,
  requiredText,
  type TcpAddress,
  tcpAddress,
} from '../common/options.ts';
import { type Credentials, WIRE_OPTIONS, wireCredentials } from '../common/wire/credentials.ts';
import {
  ETCD_OPTIONS,
  type EtcdConfig,
  etcdConfig,
} from '../coordinator/arbitration/etcd-options.ts';

/** What a witness that serves is told. */
export interface WitnessConfig {
  /** The file with the registers. */
  store: string;
  listen: TcpAddress;
  credentials: Credentials | undefined;
  http: HttpAddress | undefined;
  logLevel: string;
}

/** What the program is to do. */
export type WitnessTask =
  | { verb: 'serve'; config: WitnessConfig }
  | { verb: 'init'; store: string }
  | { verb: 'forget'; store: string; vm: string; yes: boolean }
  | { verb: 'etcd'; line: CommandLine; etcd: EtcdConfig };

export const WITNESS: CommandSpec = {
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
    yes: {
      type: 'boolean',
      flagOnly: true,
      help: "forget: do not ask for the virtual machine's name",
    },
    ...ETCD_OPTIONS,
    ...daemonOptions(7712),
  },
  notes: [
    'init creates an empty store with a new identity; the hosts refuse another one than they know.',
    'forget takes away the register of a VM that exists nowhere any more, so that its name can be',
    'created again. Only when no guest of this VM runs on any host: else it could exist twice.',
    'Registers in etcd need no witness: with --etcd, init and forget do the same there.',
    'Run it on a third machine: it decides when the two hosts lose sight of each other.',
  ],
};

/**
 * @throws CurlingError CURLING_USAGE, CURLING_KEYS
 */
export function witnessTask(line: CommandLine): WitnessTask {
  const { values, positionals } = line;
  const etcd = etcdConfig(values);
  if (etcd) return { verb: 'etcd', line, etcd };
  const store = requiredText('store', values.store);
  const [verb, vm, ...rest] = positionals;
  if (verb === undefined) return { verb: 'serve', config: servingConfig(values, store) };
  if (verb === 'init' && vm === undefined) return { verb, store };
  if (verb === 'forget' && vm !== undefined && rest.length === 0)
    return { verb, store, vm, yes: values.yes === true };
  const text = `expected init, forget VM or nothing, got ${positionals.join(' ')}`;
  throw new CurlingError('CURLING_USAGE', text);
}

function servingConfig(values: CommandLine['values'], store: string): WitnessConfig {
  const listen = tcpAddress('listen', requiredText('listen', values.listen));
  return {
    store,
    listen,
    credentials: wireCredentials(values, { addresses: [['listen', listen]] }),
    http: httpAddress(values.http),
    logLevel: logLevel(values['log-level']),
  };
}
