/** Where this checkout is. Sources that are not TypeScript (C, shell) are used from there, not from build/. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json, above this file's compiled or source form. */
export const REPOSITORY = findRepository(dirname(fileURLToPath(import.meta.url)));

function findRepository(start: string): string {
  let folder = start;
  while (!existsSync(join(folder, 'package.json'))) {
    const above = dirname(folder);
    if (above === folder) throw new Error(`no package.json above ${start}`);
    folder = above;
  }
  return folder;
}

/** A path inside the repository. */
export function inRepository(...parts: string[]): string {
  return join(REPOSITORY, ...parts);
}

/** A static busybox: the one that install/setup.sh unpacked, or the installed one. */
export const BUSYBOX =
  [inRepository('build/busybox/bin/busybox'), inRepository('build/busybox/usr/bin/busybox')].find(
    path => existsSync(path),
  ) ?? '/bin/busybox';
