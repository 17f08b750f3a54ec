/**
 * One process per store or directory: an exclusive flock(2) on a file beside it. The kernel gives it
 * up when the process ends, however it ends, so nothing stale can stay behind, and it holds across
 * network namespaces. Node has no flock of its own.
 */
import fs from 'node:fs';
import koffi from 'koffi';
import { CurlingError, type ErrorCode, messageOf } from './errors.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

export interface Lock {
  release(): void;
}

/**
 * Locks what is at `path`, by the file `path`.lock.
 * @param rule For the error: who may have it, e.g. `one witness serves a store`.
 * @throws CurlingError with `code` when another process has it, or the lock file cannot be made.
 */
export function lock(path: string, code: ErrorCode, rule: string): Lock {
  const lockPath = `${path}.lock`;
  let fd: number;
  try {
    fd = fs.openSync(lockPath, 'a', 0o600);
  } catch (error) {
    const text = `cannot open ${lockPath}: ${messageOf(error)}`;
    throw new CurlingError(code, text, { cause: error });
  }
  const flock = koffi.load(null).func('int flock(int fd, int operation)');
  if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    const busy = koffi.errno() === koffi.os.errno.EAGAIN;
    fs.closeSync(fd);
    const text = busy
      ? `${path} is in use by another process; ${rule}`
      : `cannot lock ${lockPath}: errno ${koffi.errno()}`;
    throw new CurlingError(code, text);
  }
  let held = true;
  return {
    release: () => {
      // Once only: the number may be another file's by the second time.
      if (held) fs.closeSync(fd);
      held = false;
    },
  };
}
