/** The configuration files of a host: which there are, in the order in which later ones override earlier ones. */
import fs from 'node:fs';
import path from 'node:path';
import { CurlingError } from '../common/errors.ts';
import { namesInPrivateFolder } from '../common/wire/private-file.ts';
import { checkEntry } from './schema.ts';
import { readTomlFile, type TomlEntry } from './toml-file.ts';

export const CONFIG_DIR = '/etc/curling';
/** Said instead of a folder: no files. */
export const NO_CONFIG = 'none';

/** What all files say, checked. */
export interface ConfigFiles {
  /** curling.toml, then conf.d/*.toml by their names. */
  host: TomlEntry[];
  /** vm/NAME.toml, by NAME. */
  machines: Map<string, TomlEntry[]>;
}

const NOTHING: ConfigFiles = { host: [], machines: new Map() };

/**
 * Reads all files of a folder, also those of other machines: a mistake in one of them is found when it is made.
 * @param dir A folder, or `none`. That the default one is missing is no error; that a named one is, is.
 * @param only Read of the machines only these, so that another one's mistake is no concern of theirs.
 * @throws CurlingError CURLING_CONFIG
 */
export function readConfigFiles(dir: string = CONFIG_DIR, only?: readonly string[]): ConfigFiles {
  if (!isThere(dir)) return NOTHING;
  const first = namesIn(dir).includes('curling.toml') ? [path.join(dir, 'curling.toml')] : [];
  const host = [...first, ...tomlFiles(dir, 'conf.d')];
  const machines = machineFiles(dir)
    .filter(([name]) => only?.includes(name) ?? true)
    .map(([name, file]) => [name, checked(file, 'machine')] as const);
  return { host: host.flatMap(file => checked(file, 'host')), machines: new Map(machines) };
}

/**
 * The machines that have a file, sorted by name. None is read.
 * @param dir As of `readConfigFiles`.
 * @throws CurlingError CURLING_CONFIG
 */
export function machineNames(dir: string = CONFIG_DIR): string[] {
  return isThere(dir) ? machineFiles(dir).map(([name]) => name) : [];
}

/** A link to nothing is there: somebody meant to say something by it. */
function isThere(dir: string): boolean {
  if (dir === NO_CONFIG) return false;
  if (fs.lstatSync(dir, { throwIfNoEntry: false })) return true;
  if (dir === CONFIG_DIR) return false;
  throw new CurlingError('CURLING_CONFIG', `--config: there is no folder ${dir}`);
}

function namesIn(folder: string): string[] {
  return namesInPrivateFolder(folder, 'CURLING_CONFIG');
}

function machineFiles(dir: string): [name: string, file: string][] {
  return tomlFiles(dir, 'vm').map(file => [path.basename(file, '.toml'), file]);
}

/** Of a folder in `dir`; none without it. */
function tomlFiles(dir: string, name: string): string[] {
  if (!namesIn(dir).includes(name)) return [];
  const folder = path.join(dir, name);
  return namesIn(folder)
    .filter(file => file.endsWith('.toml') && !file.startsWith('.'))
    .sort()
    .map(file => path.join(folder, file));
}

function checked(file: string, kind: 'host' | 'machine'): TomlEntry[] {
  const entries = readTomlFile(file);
  for (const entry of entries) checkEntry(entry, kind);
  return entries;
}

/** What a text or a list says, as a list. */
export function listOf(entry: TomlEntry | undefined): string[] {
  if (entry === undefined || typeof entry.value === 'boolean') return [];
  return typeof entry.value === 'string' ? [entry.value] : entry.value;
}
