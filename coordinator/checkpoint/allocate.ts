/**
 * Room for the guest's memory: emptied, and reserved so that a full /dev/shm is found out now and
 * not by a page fault.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import koffi from 'koffi';
import { storeError } from './store-io.ts';

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const ENOSPC = 28;

const ftruncate = promisify(fs.ftruncate);

interface AsyncCall {
  async(...args: unknown[]): void;
}

let calls: { fallocate: AsyncCall; reserve: AsyncCall } | undefined;

function libc(): { fallocate: AsyncCall; reserve: AsyncCall } {
  if (!calls) {
    const library = koffi.load('libc.so.6');
    calls = {
      fallocate: library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
      reserve: library.func('int posix_fallocate(int fd, int64_t offset, int64_t length)'),
    };
  }
  return calls;
}

function onThread(call: AsyncCall, ...args: unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error: unknown, result: number) =>
      error ? reject(error) : resolve(result),
    );
  });
}

/**
 * Makes the file exactly `bytes` zeros, all of them reserved, without ever being shorter: a QEMU
 * that has it mapped would die of a touch beyond the end. Works on another thread.
 * @throws CurlingError CURLING_STORE when there is no room.
 */
export async function zeroAndReserve(fd: number, bytes: number): Promise<void> {
  await ftruncate(fd, bytes);
  const punch = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
  if ((await onThread(libc().fallocate, fd, punch, 0, bytes)) !== 0) {
    // A file system without holes: shorten and extend instead.
    await ftruncate(fd, 0);
    await ftruncate(fd, bytes);
  }
  const error = await onThread(libc().reserve, fd, 0, bytes);
  if (error === ENOSPC) throw storeError(`there is no room for ${bytes} bytes of guest memory`);
  if (error !== 0) throw storeError(`cannot reserve ${bytes} bytes: error ${error}`);
}

/**
 * Checks that the file system of `directory` has room for a file that is to have `bytes`, and
 * `spareBytes` besides.
 * @throws CurlingError CURLING_STORE naming what is needed and what is free.
 */
export function checkRoom(directory: string, fd: number, bytes: number, spareBytes: number): void {
  const { bavail, bsize } = fs.statfsSync(directory);
  const free = bavail * bsize;
  const has = fs.fstatSync(fd).blocks * 512;
  const needed = Math.max(0, bytes - has) + spareBytes;
  if (needed <= free) return;
  const text = `${directory} needs ${mebibytes(needed)} for the guest's memory and its small blocks`;
  throw storeError(`${text}, ${mebibytes(free)} are free; enlarge that file system`);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
