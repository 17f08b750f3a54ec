/**
 * Which keys the files below /etc/curling may have: the long options of the daemons, by the same names. So an option is
 * described once, and what a file says is checked by what checks the command line.
 */
import { closest, distance } from 'fastest-levenshtein';
import type { CommandSpec, OptionSpec } from '../common/options.ts';
import { COORDINATOR } from '../coordinator/config.ts';
import { PROXY } from '../proxy/config.ts';
import { WITNESS } from '../witness/config.ts';
import { fault, type TomlEntry } from './toml-file.ts';

/** The daemons. Their table is called as the program, for TOML has one name for a key and a table. */
export const DAEMONS = {
  proxy: PROXY,
  coordinator: COORDINATOR,
  witness: WITNESS,
} as const satisfies Record<string, CommandSpec>;
export type DaemonName = keyof typeof DAEMONS;

/** Further keys of a machine's file. `command` is what stands behind `--` on a command line. */
export const COMMAND_KEY = 'command';
const COMMAND: OptionSpec = { type: 'string', multiple: true, help: 'the QEMU command' };

/** Names that differ in more letters than this are no misspelling of each other. */
const DISTANCE_MAX = 3;

function keysOf(spec: CommandSpec): Record<string, OptionSpec> {
  const options: [string, OptionSpec][] = Object.entries(spec.options);
  return Object.fromEntries(options.filter(([, option]) => !option.flagOnly));
}

/** The keys of a table in curling.toml and conf.d: of one daemon, or at the top of all of them. */
function hostTables(): Record<string, Record<string, OptionSpec>> {
  const tables = Object.values(DAEMONS).map(spec => [spec.program, keysOf(spec)] as const);
  const shared = Object.assign({}, ...tables.map(([, keys]) => keys));
  return { '': shared, ...Object.fromEntries(tables) };
}

/** The keys of a machine's file: its coordinator's at the top, its proxy's in a table. */
function machineTables(): Record<string, Record<string, OptionSpec>> {
  return {
    '': { ...keysOf(COORDINATOR), [COMMAND_KEY]: COMMAND },
    [PROXY.program]: keysOf(PROXY),
  };
}

const TABLES = { host: hostTables(), machine: machineTables() };

/**
 * Checks that there is such a key and that its value has the right kind.
 * @throws CurlingError CURLING_CONFIG naming file, line and the nearest name that there is.
 */
export function checkEntry(entry: TomlEntry, kind: keyof typeof TABLES): void {
  const tables = TABLES[kind];
  const keys = tables[entry.table];
  const where = entry.table === '' ? '' : ` in [${entry.table}]`;
  if (!keys || !Object.hasOwn(tables, entry.table)) {
    const known = Object.keys(tables).filter(name => name !== '');
    throw fault(entry, `unknown table [${entry.table}]${nearest(entry.table, known)}`);
  }
  if (!Object.hasOwn(keys, entry.key))
    throw fault(entry, `unknown key ${entry.key}${where}${nearest(entry.key, Object.keys(keys))}`);
  const option = keys[entry.key]!;
  const expected = expectedKind(option);
  if (!fits(entry, option)) throw fault(entry, `${entry.key}${where}: expected ${expected}`);
}

function fits({ value }: TomlEntry, option: OptionSpec): boolean {
  if (option.type === 'boolean') return typeof value === 'boolean';
  if (typeof value === 'boolean') return false;
  return typeof value === 'string' || option.multiple === true;
}

function expectedKind(option: OptionSpec): string {
  if (option.type === 'boolean') return 'true or false';
  return option.multiple ? 'a text or a list of texts' : 'one text or number';
}

function nearest(name: string, known: readonly string[]): string {
  if (known.length === 0) return '';
  const near = closest(name, known);
  if (distance(name, near) <= DISTANCE_MAX) return `; did you mean ${near}?`;
  return known.length <= 5 ? `; expected ${known.join(', ')}` : '';
}
