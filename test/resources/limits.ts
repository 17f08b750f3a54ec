/** What takes resources away from a program: file systems that are full, descriptors that are gone, a slow disk. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';

/** A memory file system of its own, unmounted with the test. */
export function smallMount(t: ExecutionContext, kibibytes: number): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-test-small-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'curling-test', directory]);
  t.teardown(() => {
    execFileSync('umount', ['-l', directory]);
    fs.rmdirSync(directory);
  });
  return directory;
}

/** Fills a file system but for `leftBytes`; returns what makes room again. */
export function fill(directory: string, leftBytes = 0): () => void {
  const ballast = path.join(directory, 'ballast');
  const { bavail, bsize } = fs.statfsSync(directory);
  const fd = fs.openSync(ballast, 'w');
  try {
    const block = Buffer.alloc(1 << 20);
    for (let left = bavail * bsize - leftBytes; left > 0; left -= block.length)
      fs.writeSync(fd, block, 0, Math.min(left, block.length));
  } finally {
    fs.closeSync(fd);
  }
  return () => fs.rmSync(ballast, { force: true });
}

/** Lets a process open no further files; returns what lets it again. */
export function noMoreFiles(pid: number): () => void {
  const before = limitOf(pid);
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${firstFree(pid)}:${before}`]);
  return () => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${before}:${before}`]);
}

/**
 * One more than the largest of the numbers that are used in a row, or nearly: what was inherited at the end is far away.
 * Below it Node keeps one with which it turns away whom it cannot let in.
 */
function firstFree(pid: number): number {
  const used = fs.readdirSync(`/proc/${pid}/fd`).map(Number);
  return Math.max(...used.filter(fd => fd < 200)) + 1;
}

function limitOf(pid: number): number {
  const line = fs.readFileSync(`/proc/${pid}/limits`, 'utf8').match(/Max open files\s+(\d+)/);
  return Number(line![1]);
}

/** A hundred who connect and say nothing: more than there are numbers free among those that are used. */
export function strangersTo(t: ExecutionContext, address: net.NetConnectOpts): net.Socket[] {
  const strangers = Array.from({ length: 100 }, () => {
    const socket = net.connect(address);
    socket.on('error', () => {});
    return socket;
  });
  t.teardown(() => {
    for (const socket of strangers) socket.destroy();
  });
  return strangers;
}

const SLOW_SYNC_C = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
static void wait_for_disk(void) {
  const char *file = getenv("SLOW_SYNC_FILE");
  struct timespec pause = { 0, 20000000 };
  extern int access(const char *, int);
  while (file && access(file, 0) == 0) nanosleep(&pause, 0);
}
int fsync(int fd) {
  int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
  wait_for_disk();
  return next(fd);
}
int fdatasync(int fd) {
  int (*next)(int) = dlsym(RTLD_NEXT, "fdatasync");
  wait_for_disk();
  return next(fd);
}
`;

/** A disk that takes no sync while `stall` has been called and `go` has not; the environment that makes it so. */
export class SlowDisk {
  readonly env: NodeJS.ProcessEnv;
  readonly #file: string;

  constructor(t: ExecutionContext) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-test-slow-'));
    t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
    const library = path.join(folder, 'slow.so');
    const args = ['-O2', '-shared', '-fPIC', '-x', 'c', '-', '-o', library, '-ldl'];
    execFileSync('gcc', args, { input: SLOW_SYNC_C });
    this.#file = path.join(folder, 'slow');
    this.env = { ...process.env, LD_PRELOAD: library, SLOW_SYNC_FILE: this.#file };
  }

  stall(): void {
    fs.writeFileSync(this.#file, '');
  }

  go(): void {
    fs.rmSync(this.#file, { force: true });
  }
}
