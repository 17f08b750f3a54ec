/** Which files of a folder are hooks: programs that nobody but root and this user can have put or changed there. */
import fs from 'node:fs';
import path from 'node:path';
import { messageOf } from '../../common/errors.ts';

/** More files than this in one folder are a mistake. */
export const HOOKS_MAX = 32;

/** Left by editors and packages, or put away by an operator. */
const IGNORED = /^\.|~$|\.disabled$|\.dpkg-[a-z]+$/;

/** What decides about a file or folder; a part of fs.Stats. */
export type Judged = Pick<fs.Stats, 'uid' | 'mode' | 'isFile' | 'isDirectory'>;

export interface HookFolder {
  /** Full paths, in the order in which they run. */
  hooks: string[];
  /** What is not run, and why, in words. */
  skipped: string[];
}

/** The names that may be hooks, in order: by code units, so that no locale changes it. Pure. */
export function hookNames(names: readonly string[]): string[] {
  return names.filter(name => !IGNORED.test(name)).sort();
}

/**
 * Why a file must not be run, or a folder not be used; undefined: it may. Pure.
 * @param user The effective user of this process.
 */
export function faultOf(stat: Judged, user: number): string | undefined {
  if (!stat.isFile() && !stat.isDirectory()) return 'is not a regular file';
  if (stat.uid !== 0 && stat.uid !== user) return `belongs to user ${stat.uid}`;
  const mode = `mode 0${(stat.mode & 0o7777).toString(8)}`;
  if (stat.mode & 0o022) return `others can change it (${mode}); chmod go-w`;
  if (stat.isFile() && !(stat.mode & 0o111)) return `is not executable (${mode}); chmod +x`;
  return undefined;
}

/** The hooks of a folder; of one that does not exist: none. A link is judged by what it leads to. */
export function readHookFolder(folder: string): HookFolder {
  const user = process.geteuid?.() ?? 0;
  const found: HookFolder = { hooks: [], skipped: [] };
  try {
    const stat = fs.statSync(folder, { throwIfNoEntry: false });
    if (!stat) return found;
    const fault = stat.isDirectory() ? faultOf(stat, user) : 'is not a folder';
    if (fault) return { hooks: [], skipped: [`${folder} ${fault}`] };
    for (const name of hookNames(fs.readdirSync(folder))) {
      try {
        judge(path.join(folder, name));
      } catch (error) {
        // A link that leads back to itself, for one: the others are hooks all the same.
        found.skipped.push(messageOf(error));
      }
    }
  } catch (error) {
    found.skipped.push(messageOf(error));
  }
  return found;

  function judge(file: string): void {
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    const fault = !stat
      ? 'leads nowhere'
      : stat.isDirectory()
        ? 'is a folder'
        : (faultOf(stat, user) ?? full());
    if (fault) found.skipped.push(`${file} ${fault}`);
    else found.hooks.push(file);
  }

  function full(): string | undefined {
    return found.hooks.length < HOOKS_MAX ? undefined : `is one more than ${HOOKS_MAX} hooks`;
  }
}
