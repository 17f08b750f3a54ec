/**
 * Where curling is installed: a checkout, or /usr/lib/curling. What is not TypeScript (styles, scripts of a page, C, shell)
 * is used from there and not from build/.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json, above this file's compiled or source form. */
export const INSTALLATION = findAbove(dirname(fileURLToPath(import.meta.url)), 'package.json');

/** A path inside the installation. */
export function installed(...parts: string[]): string {
  return join(INSTALLATION, ...parts);
}

function findAbove(start: string, name: string): string {
  let folder = start;
  while (!existsSync(join(folder, name))) {
    const above = dirname(folder);
    if (above === folder) throw new Error(`no ${name} above ${start}`);
    folder = above;
  }
  return folder;
}
