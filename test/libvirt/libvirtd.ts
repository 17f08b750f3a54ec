/** A real libvirtd on a host of the lab, below whose feet nothing is the machine's own (enter.sh), and its virsh. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import { run } from '../../common/run.ts';
import type { LabHost } from '../../lab/node.ts';
import { inRepository } from '../../lab/paths.ts';

/** Unpacked by install/setup.sh. */
const ROOT = inRepository('build/libvirt');
export const HAS_LIBVIRT = existsSync(join(ROOT, 'usr/sbin/libvirtd'));

/** Everything as root, without what needs a service manager, cgroups or a security module. */
const QEMU_CONF = `
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
`;
/** It looks at what its emulators can do first, under TCG for some seconds. */
const START_MS_MAX = 60_000;

/** A file that libvirtd sees besides those of the machine. */
export interface OverlaidFile {
  /** From the root. */
  path: string;
  text: string;
  /** Default 0644. */
  mode?: number;
}

export class Libvirtd {
  /** Where its file system is to be found. */
  readonly root: string;
  readonly #uri: string;

  private constructor(root: string, uri: string) {
    this.root = root;
    this.#uri = uri;
  }

  /** Starts it in a host of the lab, whose end is its end. */
  static async start(host: LabHost, files: readonly OverlaidFile[]): Promise<Libvirtd> {
    const folder = join(host.runDir, 'libvirt');
    const conf = `unix_sock_dir = "${folder}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n`;
    const own = [
      { path: '/etc/libvirt/libvirtd.conf', text: conf },
      { path: '/etc/libvirt/qemu.conf', text: QEMU_CONF },
    ];
    const laid = join(folder, 'files');
    const scratch = join(host.shmDir, 'libvirt');
    mkdirSync(scratch, { recursive: true });
    for (const { path, text, mode } of [...own, ...files] as OverlaidFile[]) {
      mkdirSync(dirname(join(laid, path)), { recursive: true });
      writeFileSync(join(laid, path), text, { mode: mode ?? 0o644 });
    }
    const args = [inRepository('test/libvirt/enter.sh'), ROOT, laid, scratch];
    const child = host.spawn('sh', args, { log: 'libvirtd' });
    const uri = `qemu+unix:///system?socket=${join(folder, 'libvirt-sock')}`;
    const libvirtd = new Libvirtd(`/proc/${child.pid}/root`, uri);
    try {
      await libvirtd.#untilServing(() => child.exitCode === null);
    } catch (error) {
      const said = readFileSync(host.logPath('libvirtd'), 'utf8');
      throw new CurlingError('CURLING_CONNECT', `libvirtd does not serve: ${said}`, {
        cause: error,
      });
    }
    return libvirtd;
  }

  /** Ends it, and returns when the next one serves. Its guests run on. */
  async restart(): Promise<void> {
    const before = this.#pid;
    process.kill(Number(before), 'SIGTERM');
    await this.#untilServing(() => true, before);
  }

  get #pid(): string {
    const file = `${this.root}/run/libvirtd.pid`;
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** @param before The pid of one that is about to end. */
  async #untilServing(lives: () => boolean, before = ''): Promise<void> {
    for (const deadline = performance.now() + START_MS_MAX; ; await sleep(50)) {
      try {
        if (this.#pid !== before) return void (await this.virsh('version'));
      } catch (error) {
        if (!lives() || performance.now() > deadline) throw error;
      }
    }
  }

  /**
   * Runs virsh.
   * @throws CurlingError CURLING_TOOL_FAILED with what it says
   */
  virsh(...args: string[]): Promise<string> {
    const libraries = `LD_LIBRARY_PATH=${join(ROOT, 'usr/lib/x86_64-linux-gnu')}`;
    const virsh = [libraries, join(ROOT, 'usr/bin/virsh'), '-q', '-c', this.#uri, ...args];
    return run('env', virsh, { timeoutMs: START_MS_MAX });
  }
}
