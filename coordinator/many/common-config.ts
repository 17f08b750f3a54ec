/** What `curling-coordinator --all` is told: what stands on its command line holds for every machine of the host. */
import { CurlingError, messageOf } from '../../common/errors.ts';
import { type HttpAddress, httpAddress } from '../../common/http/address.ts';
import { logLevel } from '../../common/log.ts';
import type { CommandLine } from '../../common/options.ts';
import { type Configuration, configure } from '../../config/configure.ts';
import { configured, readConfigured } from '../../config/configured.ts';
import { CONFIG_DIR, machineNames } from '../../config/files.ts';
import { type CoordinatorConfig, coordinatorConfig } from '../config.ts';

/** Each machine has its own, in its file. */
const OF_ONE_MACHINE = [
  ...['vm', 'role', 'create', 'qmp', 'tap', 'proxy', 'control', 'listen', 'run-dir', 'shadow-dir'],
] as const;

/** What the process is told, apart from its machines. */
export interface CommonConfig {
  http: HttpAddress | undefined;
  logLevel: string;
}

/**
 * What the files of the host and the command line say for the process.
 * @throws CurlingError CURLING_USAGE, CURLING_CONFIG
 */
export function commonConfig(line: CommandLine): CommonConfig {
  const own = OF_ONE_MACHINE.find(name => line.given.has(name));
  if (own !== undefined) throw usage(`--${own}`);
  const [word = line.rest[0]] = line.positionals;
  if (word !== undefined) throw usage(word);
  return readConfigured(configured('coordinator', line), ({ values }) => ({
    http: httpAddress(values.http),
    logLevel: logLevel(values['log-level']),
  }));
}

function usage(what: string): CurlingError {
  const text = `${what} is of one machine, and --all means all of them: it stands in vm/NAME.toml`;
  return new CurlingError('CURLING_USAGE', text);
}

/** The machines of the host, sorted. @throws CurlingError CURLING_CONFIG when there is no such folder */
export function listedMachines(line: CommandLine): string[] {
  return machineNames(String(line.values.config ?? CONFIG_DIR));
}

/** The command line of one of them, as if it were alone. */
export function machineLine(line: CommandLine, vm: string): CommandLine {
  return { ...line, values: { ...line.values, vm }, given: new Set([...line.given, 'vm']) };
}

/** @throws CurlingError CURLING_USAGE, CURLING_CONFIG */
export function machineConfiguration(
  line: CommandLine,
  vm: string,
): Configuration<CoordinatorConfig> | undefined {
  return configure('coordinator', machineLine(line, vm), coordinatorConfig);
}

/**
 * Answers `--check-config` and `--dump-config`, machine by machine; false when neither was asked for.
 * @throws CurlingError CURLING_CONFIG with all that is wrong, machine by machine
 */
export function checkAll(line: CommandLine): boolean {
  if (line.values['check-config'] !== true && line.values['dump-config'] !== true) return false;
  commonConfig(line);
  const wrong: string[] = [];
  for (const vm of listedMachines(line)) {
    process.stdout.write(`# ${vm}\n`);
    try {
      machineConfiguration(line, vm);
    } catch (error) {
      wrong.push(`${vm}: ${messageOf(error)}`);
    }
  }
  if (wrong.length > 0) throw new CurlingError('CURLING_CONFIG', wrong.join('\n'));
  return true;
}
