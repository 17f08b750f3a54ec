/** `curlingctl version`: what is installed here, for a report of a fault. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../common/version.ts';
import { CTL, type CtlCommand } from './command.ts';

/** Packages with a binary part, and whether curling can do without. */
export const ADDONS = {
  koffi: 'required',
  '@node-rs/xxhash': 'optional',
  pcap: 'optional',
  'raw-socket': 'optional',
} as const;

export const VERSION_COMMAND: CtlCommand = {
  usage: '',
  words: 'none',
  summary: 'prints the versions of curling and of what it runs on',
  options: { json: { type: 'boolean', help: 'one JSON document' } },
  async run(line) {
    const found = versions();
    if (line.values.json === true) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    else
      for (const [name, version] of Object.entries(found))
        process.stdout.write(`${name.padEnd(16)} ${version ?? 'not installed'}\n`);
    return undefined;
  },
};

/** By name; null: not installed. */
export function versions(): Record<string, string | null> {
  const addons = Object.keys(ADDONS).map(name => [name, installedVersion(name)]);
  return {
    [CTL]: VERSION,
    node: process.versions.node,
    ...Object.fromEntries(addons),
    kernel: os.release(),
  };
}

/** The version of a package, without loading it; null when it is not there. */
export function installedVersion(name: string): string | null {
  let file: string;
  try {
    file = fileURLToPath(import.meta.resolve(name));
  } catch {
    return null;
  }
  // Its package.json need not be among what it exports, but stands above what it does.
  for (let folder = path.dirname(file); folder !== path.dirname(folder); ) {
    const found = packageIn(folder);
    if (found?.name === name) return String(found.version);
    folder = path.dirname(folder);
  }
  return null;
}

function packageIn(folder: string): { name?: unknown; version?: unknown } | undefined {
  const file = path.join(folder, 'package.json');
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : undefined;
}
