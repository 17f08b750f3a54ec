/** A small Linux guest for tests with a real QEMU under TCG: what it is made of, how it is started, how it ends. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { QmpClient } from '../../common/qmp/client.ts';
import { run } from '../../common/run.ts';
import { QemuChild } from '../../coordinator/qemu/child.ts';
import { untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import type { StandbyOptions } from '../../coordinator/qemu/standby.ts';
import { findKernel } from '../../lab/kernel.ts';
import { BUSYBOX } from '../../lab/paths.ts';

/** 128 MiB less 8 KiB: QEMU 7.2 under TCG loses dirty pages of RAM whose size is a multiple of 256 KiB. */
export const GUEST_RAM_BYTES = 134_209_536;
export const GUEST_MAIN_BLOCK = 'pc.ram';

/** Dirties random pages of 16 MiB, about 1,000 every 5 ms. */
const DIRTIER_C = `
#include <stdlib.h>
#include <time.h>
int main(void) {
  enum { PAGES = 4096 };
  volatile unsigned *memory = malloc(PAGES * 4096);
  struct timespec pause = { 0, 5000000 };
  for (unsigned round = 1;; round++) {
    for (int i = 0; i < 1000; i++) memory[(rand() % PAGES) * 1024 + rand() % 1024] = round;
    nanosleep(&pause, 0);
  }
}
`;

/** COLO under TCG waits on a condition variable without its mutex, which stays locked for ever. Wait briefly instead. */
const SHIM_C = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex) {
  static int (*wait)(pthread_cond_t *, pthread_mutex_t *);
  static int (*timed)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  static __thread int tid;
  struct timespec until;
  if (!tid) tid = syscall(SYS_gettid);
  if (!wait) wait = dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
  if (mutex->__data.__owner == tid) return wait(cond, mutex);
  if (!timed) timed = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  pthread_mutex_lock(mutex);
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 500000;
  if (until.tv_nsec >= 1000000000) { until.tv_sec++; until.tv_nsec -= 1000000000; }
  timed(cond, mutex, &until);
  pthread_mutex_unlock(mutex);
  return 0;
}
`;

const INIT_HEAD = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
/bin/dirtier &
`;
const INIT_LOOP = `
i=0; while true; do i=$((i+1)); echo "tick $i"; sleep 0.1; done
`;

export interface GuestKitOptions {
  /** Default `pc`, the newest of its kind. */
  machine?: string;
  /** A further program of the guest, in C, run to its end before the first tick. */
  program?: string;
  /** Further words of QEMU's command line, for a QEMU of this name. */
  words?(name: string, kit: GuestKit): readonly string[];
}

/** Files of the guest, and of all QEMUs that run it, in one temporary folder. */
export class GuestKit {
  readonly folder: string;
  readonly #running: QemuChild[] = [];
  readonly #shadows: string[] = [];
  readonly #options: GuestKitOptions;

  private constructor(folder: string, options: GuestKitOptions) {
    this.folder = folder;
    this.#options = options;
  }

  static async make(options: GuestKitOptions = {}): Promise<GuestKit> {
    const kit = new GuestKit(fs.mkdtempSync(path.join(os.tmpdir(), 'curling-qemu-')), options);
    try {
      await kit.#build();
      return kit;
    } catch (error) {
      await kit.remove();
      throw error;
    }
  }

  async #build(): Promise<void> {
    fs.copyFileSync(findKernel().path, this.path('vmlinuz'));
    const root = this.path('root');
    for (const name of ['bin', 'dev']) fs.mkdirSync(path.join(root, name), { recursive: true });
    fs.copyFileSync(BUSYBOX, path.join(root, 'bin/busybox'));
    const { program } = this.#options;
    const init = INIT_HEAD + (program ? '/bin/program' : '') + INIT_LOOP;
    fs.writeFileSync(path.join(root, 'init'), init, { mode: 0o755 });
    const dirtier = path.join(root, 'bin/dirtier');
    const compile = (args: string[], input: string) =>
      run('gcc', ['-O2', '-x', 'c', '-', ...args], { input });
    await compile(['-static', '-o', dirtier], DIRTIER_C);
    if (program) await compile(['-static', '-o', path.join(root, 'bin/program')], program);
    await compile(['-shared', '-fPIC', '-o', this.path('shim.so'), '-ldl'], SHIM_C);
    const pack = `cd ${root} && find . | cpio -o -H newc 2>/dev/null | gzip -1 > ../initrd.gz`;
    await run('sh', ['-c', pack]);
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  /** The command line of the guest as an operator would write it, without memory backend and monitor. */
  argv(name: string): string[] {
    return [
      'env',
      `LD_PRELOAD=${this.path('shim.so')}`,
      'qemu-system-x86_64',
      ...['-accel', 'tcg', '-machine', this.#options.machine ?? 'pc', '-display', 'none'],
      ...['-m', `${GUEST_RAM_BYTES}B`],
      ...['-kernel', this.path('vmlinuz'), '-initrd', this.path('initrd.gz')],
      ...[
        '-append',
        'console=ttyS0 quiet panic=-1',
        '-serial',
        `file:${this.path(`${name}.serial`)}`,
      ],
      ...['-netdev', 'user,id=n0,restrict=on', '-device', 'virtio-net-pci,netdev=n0,romfile='],
      ...(this.#options.words?.(name, this) ?? []),
    ];
  }

  /** A file for RAM, removed with the kit. */
  shadow(name: string): string {
    const file = `/dev/shm/${path.basename(this.folder)}-${name}.ram`;
    this.#shadows.push(file);
    return file;
  }

  standbyOptions(name: string): StandbyOptions {
    const shadowPath = this.shadow(name);
    return {
      argv: this.argv(name),
      memory: { mainBlock: GUEST_MAIN_BLOCK, ramBytes: GUEST_RAM_BYTES, shadowPath },
      qmpPath: this.path(`${name}.qmp`),
      incomingPath: this.path(`${name}.incoming`),
      logPath: this.path(`${name}.log`),
    };
  }

  /** Boots the guest with its RAM in a file that can be looked at, and waits until its workload runs. */
  async boot(name: string): Promise<{ qmp: QmpClient; child: QemuChild; ramPath: string }> {
    const ramPath = this.shadow(name);
    const qmpPath = this.path(`${name}.qmp`);
    const backend = `memory-backend-file,id=${GUEST_MAIN_BLOCK},size=${GUEST_RAM_BYTES},mem-path=${ramPath},share=on,x-use-canonical-path-for-ramblock-id=off`;
    const child = new QemuChild(
      [
        ...this.argv(name),
        ...['-object', backend, '-machine', `memory-backend=${GUEST_MAIN_BLOCK}`],
        ...['-qmp', `unix:${qmpPath},server=on,wait=off`],
      ],
      this.path(`${name}.log`),
    );
    this.#running.push(child);
    const booted = async () => {
      if (child.exit) throw new Error(`QEMU ${child.exit}: ${child.said()}`);
      return this.ticks(name) >= 3;
    };
    await untilHolds(booted, 'the boot of the test guest', 60_000, 50);
    return { qmp: await QmpClient.connect(qmpPath), child, ramPath };
  }

  /** How often the guest has said that it lives. */
  ticks(name: string): number {
    const file = this.path(`${name}.serial`);
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('tick').length - 1 : 0;
  }

  /** Ends every guest that `boot` started, and removes all files. */
  async remove(): Promise<void> {
    for (const child of this.#running) await child.kill();
    for (const file of this.#shadows) fs.rmSync(file, { force: true });
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
