/**
 * What a daemon is told, by its command line and the files below /etc/curling together. From the weakest to the strongest:
 * defaults; curling.toml and conf.d, file by file, in each the top before the daemon's table; the machine's file; flags.
 */
import { CurlingError } from '../common/errors.ts';
import type { CommandLine } from '../common/options.ts';
import { CONFIG_DIR, type ConfigFiles, listOf, readConfigFiles } from './files.ts';
import { COMMAND_KEY, DAEMONS, type DaemonName } from './schema.ts';
import { placeOf, type TomlEntry } from './toml-file.ts';

/** A value, and where it comes from. */
export interface Setting {
  value: string | boolean | (string | boolean)[] | undefined;
  /** `FILE:LINE`, `command line` or `default`. */
  source: string;
}

export interface Configured {
  line: CommandLine;
  /** By option; `command` is what stands behind `--`. */
  settings: Map<string, Setting>;
}

/**
 * Adds what the files say to a command line.
 * @throws CurlingError CURLING_CONFIG
 */
export function configured(daemon: DaemonName, line: CommandLine): Configured {
  const { config, all, vm } = line.values;
  // One of many is not kept from working by a mistake in another one's file.
  const only = all === true ? (typeof vm === 'string' ? [vm] : []) : undefined;
  return merged(daemon, line, readConfigFiles(String(config ?? CONFIG_DIR), only));
}

/** As `configured`, with files that were read. Pure. */
export function merged(daemon: DaemonName, line: CommandLine, files: ConfigFiles): Configured {
  const settings = new Map<string, Setting>();
  for (const [name, value] of Object.entries(line.values))
    settings.set(name, { value, source: 'default' });
  const options = DAEMONS[daemon].options as Record<string, { multiple?: boolean }>;
  for (const entry of entriesFor(daemon, line, files)) {
    const known = entry.key === COMMAND_KEY || Object.hasOwn(options, entry.key);
    if (!known) continue; // at the top: another daemon's
    const many = options[entry.key]?.multiple || entry.key === COMMAND_KEY;
    settings.set(entry.key, {
      value: many ? listOf(entry) : entry.value,
      source: placeOf(entry),
    });
  }
  for (const name of line.given)
    settings.set(name, { value: line.values[name], source: 'command line' });
  if (daemon === 'proxy') takeAllTaps(settings, line, files);
  const values: CommandLine['values'] = {};
  for (const [name, { value }] of settings) if (name !== COMMAND_KEY) values[name] = value;
  let { rest } = line;
  const command = settings.get(COMMAND_KEY);
  if (rest.length > 0) settings.set(COMMAND_KEY, { value: rest, source: 'command line' });
  else if (command) rest = command.value as string[];
  return { line: { ...line, values, rest }, settings };
}

/** The entries that concern this start, the strongest last. */
function entriesFor(daemon: DaemonName, line: CommandLine, files: ConfigFiles): TomlEntry[] {
  const { program } = DAEMONS[daemon];
  const host = [...new Set(files.host.map(entry => entry.file))].flatMap(file => {
    const entries = files.host.filter(entry => entry.file === file);
    return ['', program].flatMap(table => entries.filter(entry => entry.table === table));
  });
  const { vm } = line.values;
  if (daemon === 'coordinator' && typeof vm === 'string')
    return [...host, ...(files.machines.get(vm) ?? []).filter(entry => entry.table === '')];
  if (daemon !== 'proxy') return host;
  const machine = machineOfTap(firstTap(line), files);
  return [...host, ...(machine ?? []).filter(entry => entry.table === program)];
}

function firstTap(line: CommandLine): string | undefined {
  return (line.values.tap as string[] | undefined)?.[0];
}

function tapsOf(entries: readonly TomlEntry[]): TomlEntry | undefined {
  return entries.findLast(entry => entry.table === '' && entry.key === 'tap');
}

/** @throws CurlingError CURLING_CONFIG when two machines have the tap. */
function machineOfTap(tap: string | undefined, files: ConfigFiles): TomlEntry[] | undefined {
  if (tap === undefined) return undefined;
  const found = [...files.machines.values()].filter(entries =>
    listOf(tapsOf(entries)).includes(tap),
  );
  const [one, other] = found;
  if (!one || !other) return one;
  const places = [one, other].map(entries => placeOf(tapsOf(entries)!)).join(' and ');
  throw new CurlingError('CURLING_CONFIG', `${places}: both machines have ${tap}`);
}

/**
 * A guest's taps are held together or not at all: a proxy that is started with the first one serves all that the
 * machine's file names.
 * @throws CurlingError CURLING_CONFIG when it is started with another one than the first.
 */
function takeAllTaps(settings: Map<string, Setting>, line: CommandLine, files: ConfigFiles): void {
  const given = (line.values.tap as string[] | undefined) ?? [];
  const entry = tapsOf(machineOfTap(given[0], files) ?? []);
  if (given.length !== 1 || !entry) return;
  const taps = listOf(entry);
  if (taps[0] !== given[0]) {
    const text = `the proxy of ${taps.join(', ')} is started with the first of them: --tap ${taps[0]}`;
    throw new CurlingError('CURLING_CONFIG', `${placeOf(entry)}: ${text}`);
  }
  settings.set('tap', { value: taps, source: placeOf(entry) });
}

/**
 * Reads a configuration out of a command line, and gives an error about a value its place when it comes from a file.
 * @throws CurlingError CURLING_CONFIG, or what `read` throws.
 */
export function readConfigured<Config>(
  { line, settings }: Configured,
  read: (line: CommandLine) => Config,
): Config {
  try {
    return read(line);
  } catch (error) {
    if (!(error instanceof CurlingError) || error.code !== 'CURLING_USAGE') throw error;
    // Errors about an option name it first.
    const name = /--([a-z][a-z-]*)/.exec(error.message)?.[1];
    const source = name === undefined ? undefined : settings.get(name)?.source;
    if (source === undefined || source === 'default' || source === 'command line') throw error;
    const text = `${source}: ${error.message.replace(`--${name}`, name!)}`;
    throw new CurlingError('CURLING_CONFIG', text, { cause: error });
  }
}
