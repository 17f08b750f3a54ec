/** The store's writes, in one place so that a test can end the process at each of them. */
import fs from 'node:fs';
import { CurlingError, messageOf } from '../../common/errors.ts';

export interface StoreIo {
  /** Writes all of `buffers` at `position`. */
  write(fd: number, buffers: readonly Buffer[], position: number): void;
  /** Puts a small file in the place of `path`, whole or not at all. */
  replace(path: string, content: Buffer): void;
  remove(path: string): void;
  truncate(fd: number, bytes: number): void;
  /** What was written to `fd` survives whatever the file system can make it survive. */
  sync(fd: number): void;
}

/** Fewer than the kernel's limit of one writev. */
const BUFFERS_MAX = 512;

/** @throws CurlingError CURLING_STORE from each of its functions. */
export const nodeIo: StoreIo = {
  write(fd, buffers, position) {
    coded('write', () => {
      for (let at = 0; at < buffers.length; at += BUFFERS_MAX) {
        position = writeFully(fd, buffers.slice(at, at + BUFFERS_MAX), position);
      }
    });
  },
  replace(path, content) {
    coded(`write ${path}`, () => {
      const fresh = `${path}.new`;
      const fd = fs.openSync(fresh, 'w', 0o600);
      try {
        writeFully(fd, [content], 0);
        fs.fdatasyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
      fs.renameSync(fresh, path);
    });
  },
  remove(path) {
    coded(`remove ${path}`, () => fs.rmSync(path, { force: true }));
  },
  truncate(fd, bytes) {
    coded('truncate', () => fs.ftruncateSync(fd, bytes));
  },
  sync(fd) {
    coded('sync', () => fs.fdatasyncSync(fd));
  },
};

/**
 * Returns the position after the last byte. A file system that is nearly full writes less than it
 * was asked to.
 */
function writeFully(fd: number, buffers: Buffer[], position: number): number {
  let left = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  while (left > 0) {
    const single = buffers.length === 1 ? buffers[0]! : undefined;
    let written = single
      ? fs.writeSync(fd, single, 0, single.length, position)
      : fs.writevSync(fd, buffers, position);
    position += written;
    left -= written;
    if (left === 0) break;
    buffers = buffers.flatMap(buffer => {
      const rest = buffer.subarray(Math.min(written, buffer.length));
      written -= buffer.length - rest.length;
      return rest.length > 0 ? [rest] : [];
    });
  }
  return position;
}

function coded(what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw storeError(`cannot ${what}: ${messageOf(error)}`, error);
  }
}

/** The store cannot do what it must. */
export function storeError(text: string, cause?: unknown): CurlingError {
  return new CurlingError('CURLING_STORE', `store: ${text}`, cause === undefined ? {} : { cause });
}
