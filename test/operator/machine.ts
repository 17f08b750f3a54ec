/**
 * One machine as its operator has it: a node of the lab with a file system, processes, /run, /dev/shm and a name of its own. What is
 * written stays on its "disk" when its power is cut; what is in memory does not. The files of this machine are below, and
 * are not changed.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { toolEnvironment } from '../../common/run.ts';
import type { LabNode } from '../../lab/node.ts';

const BOOT_MS_MAX = 20_000;
const SHELL_MS_MAX = 120_000;
const OUTPUT_BYTES_MAX = 4 << 20;

/** Written in the machine's own /run when its root is the only one that it has. */
const UP = '/run/operator-up';
/** Makes the machine's root, gives up the one below, and waits. /sys is that of its network namespace already. */
const BOOT = `
set -eu
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$DISK/upper,workdir=$DISK/work" "$DISK/root"
cd "$DISK/root"
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
for memory in dev/shm run; do mount -t tmpfs -o mode=1777 tmpfs "$memory"; done
chmod 755 run
hostname "$NAME"
pivot_root . .
umount -l .
cd /
touch ${UP}
exec sleep infinity
`;

export interface Said {
  status: number;
  /** Standard output and standard error, as they came. */
  output: string;
}

export class Machine {
  readonly name: string;
  readonly node: LabNode;
  readonly #disk: string;
  /** The first process of its own processes; its root is the machine's. */
  #init: number | undefined;

  constructor(name: string, node: LabNode) {
    this.name = name;
    this.node = node;
    this.#disk = join(node.runDir, 'disk');
  }

  /** Switches it on. */
  async boot(): Promise<void> {
    for (const folder of ['upper', 'work', 'root'])
      mkdirSync(join(this.#disk, folder), { recursive: true });
    const env = { DISK: this.#disk, NAME: this.name };
    const args = ['--mount', '--uts', '--pid', '--fork', 'sh', '-c', BOOT];
    const unshare = this.node.spawn('unshare', args, { env, log: 'boot' });
    const deadline = performance.now() + BOOT_MS_MAX;
    for (;;) {
      this.#init = childOf(unshare.pid!);
      if (this.#init !== undefined && existsSync(this.path(UP))) return;
      if (unshare.exitCode !== null || performance.now() > deadline)
        throw new Error(`${this.name}: ${readFileSync(this.node.logPath('boot'), 'utf8')}`);
      await sleep(20);
    }
  }

  /** Cuts its power: nothing that it runs ends in order, and its memory is gone. Its disk stays. */
  cutPower(): void {
    this.node.kill();
    this.#init = undefined;
  }

  get on(): boolean {
    return this.#init !== undefined;
  }

  /** What was written to its disk, as a folder. */
  get written(): string {
    return join(this.#disk, 'upper');
  }

  /** A path of its own, seen from here. */
  path(path: string): string {
    return join(`/proc/${this.#init}/root`, path);
  }

  /** Puts a file there. */
  write(path: string, text: string, mode = 0o644): void {
    mkdirSync(join(this.path(path), '..'), { recursive: true });
    writeFileSync(this.path(path), text, { mode });
  }

  /** Copies a file or folder of this machine there. */
  copy(from: string, to: string): void {
    mkdirSync(join(this.path(to), '..'), { recursive: true });
    cpSync(from, this.path(to), { recursive: true, dereference: true, preserveTimestamps: true });
  }

  /** Types lines into a shell there, as root; never throws for what they end with. */
  type(text: string): Promise<Said> {
    const { LANG: _lang, ...environment } = toolEnvironment();
    const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    const env = { ...environment, PATH: path, HOME: '/root', NO_COLOR: '1' };
    const target = ['--target', String(this.#init)];
    const into = ['--mount', '--uts', '--net', '--pid', '--root', '--wd'];
    return new Promise(resolve => {
      const child = execFile(
        'nsenter',
        [...target, ...into, 'sh', '-eu', '-c', `exec 2>&1\ncd\n${text}`],
        { env, timeout: SHELL_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX, killSignal: 'SIGKILL' },
        (error, output) => {
          const status = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
          resolve({ status, output });
        },
      );
      child.stdin?.end();
    });
  }
}

/** A process's only child, once there is one. */
function childOf(pid: number): number | undefined {
  const children = `/proc/${pid}/task/${pid}/children`;
  const first = existsSync(children) ? readFileSync(children, 'utf8').split(' ')[0] : '';
  return first ? Number(first) : undefined;
}
