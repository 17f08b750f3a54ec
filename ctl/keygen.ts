/** `curlingctl keygen`: makes a key file, or adds hosts to one. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { CurlingError } from '../common/errors.ts';
import { HOST_NAME, KEY_BYTES, keyLine, parseKeys } from '../common/wire/keys.ts';
import { readPrivateFile } from '../common/wire/private-file.ts';
import { type CtlCommand, usageError } from './command.ts';

export interface KeygenOptions {
  hosts: readonly string[];
  /** The key file. */
  file: string;
  /** Whether a host that has a key may get another one. */
  replace: boolean;
}

export const KEYGEN: CtlCommand = {
  usage: 'HOST…',
  words: 'hosts',
  summary: 'makes a key file, or adds hosts to one',
  options: {
    file: { type: 'string', value: 'FILE', help: 'the key file to make or to add hosts to' },
    replace: { type: 'boolean', help: 'give hosts that have a key another one' },
  },
  async run({ positionals, values }) {
    if (typeof values.file !== 'string') throw usageError('--file is required', 'keygen');
    const replace = values.replace === true;
    process.stdout.write(generateKeys({ hosts: positionals, file: values.file, replace }));
    return undefined;
  },
};

/**
 * Gives each of the hosts a new random key. The file is replaced as a whole, mode 0600, or not at
 * all; other lines stay as they are.
 * @returns What to tell the operator.
 * @throws CurlingError CURLING_USAGE; CURLING_KEYS when a host has a key already, or the file cannot
 *   be used.
 */
export function generateKeys(options: KeygenOptions): string {
  const { hosts, file, replace } = options;
  if (hosts.length === 0) throw usageError('expected the name of one host or more', 'keygen');
  for (const host of hosts)
    if (!HOST_NAME.test(host))
      throw usageError(`${JSON.stringify(host)} is no name of a host`, 'keygen');
  const lock = `${file}.new`;
  const fd = openLock(lock);
  try {
    const before = fs.existsSync(file) ? readPrivateFile(file) : '';
    const known = parseKeys(before, file);
    const old = hosts.filter(host => known.has(host));
    if (old.length > 0 && !replace) {
      const text = `${file}: ${old.join(', ')} has a key already; --replace makes another one`;
      throw new CurlingError('CURLING_KEYS', text);
    }
    const text = changed(before, [...new Set(hosts)]);
    const all = [...parseKeys(text, file).keys()];
    fs.writeFileSync(fd, text);
    fs.fsyncSync(fd);
    fs.renameSync(lock, file);
    syncFolder(path.dirname(file));
    return advice(file, all, old);
  } catch (error) {
    fs.rmSync(lock, { force: true });
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}

/** The new file is the lock: two that add hosts at once would lose one's. */
function openLock(lock: string): number {
  try {
    return fs.openSync(lock, 'wx', 0o600);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const text =
      code === 'EEXIST'
        ? `${lock} is there: another keygen runs, or was killed; then remove it`
        : `cannot write ${message}`;
    throw new CurlingError('CURLING_KEYS', text, { cause: error });
  }
}

/** The text of a key file with new keys for `hosts`, and without their old ones. */
function changed(before: string, hosts: readonly string[]): string {
  const kept = before
    .split('\n')
    .filter(line => line.trim() !== '' && !hosts.includes(line.trim().split(':')[0]!))
    .map(line => `${line}\n`);
  return kept.join('') + hosts.map(host => keyLine(host, randomBytes(KEY_BYTES))).join('');
}

function advice(file: string, all: readonly string[], old: readonly string[]): string {
  const replaced = old.length > 0 ? ` (new ones of ${old.join(', ')})` : '';
  return [
    `${file} has keys of ${all.join(', ')}${replaced}.`,
    `Copy it to ${all.join(', ')} and to the witness's machine, over a way that you trust, mode 0600.`,
    'Then start there, or again, with:',
    `  curling-witness --keys ${file} …`,
    ...all.map(host => `  curling-coordinator --host ${host} --keys ${file} …`),
    '',
  ].join('\n');
}

function syncFolder(folder: string): void {
  const fd = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
