/**
 * A real systemd for tests, with the units of this checkout, in namespaces of its own: boot.sh makes its root. It sees a
 * bridge with a tap, no network, and no file of the host that it could change.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from '../../common/run.ts';
import { until } from '../coordinator/bench.ts';

const BOOT = 'test/systemd/boot.sh';
const SYSTEMD = '/lib/systemd/systemd';
/** Where a control group can be made: of version 2 alone, or beside version 1. */
const CGROUP_ROOTS = ['/sys/fs/cgroup/cgroup.procs', '/sys/fs/cgroup/unified/cgroup.procs'];
const NAMESPACES = ['--pid', '--mount', '--cgroup', '--ipc', '--uts', '--net'];
/** What boot.sh begins with. It is done in namespaces, and goes with them. */
const PROBE = `set -e
  mount --make-rprivate /
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/root
  mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
  mount -t cgroup2 cgroup2 /mnt/root/mnt`;

export class ServiceManager {
  /** A folder that the machine sees as /run/shared. */
  readonly shared: string;
  readonly #folder: string;
  readonly #cgroup: string;
  readonly #child: ChildProcess;
  #said = '';
  #pid = 0;

  private constructor(folder: string, cgroup: string) {
    this.#folder = folder;
    this.#cgroup = cgroup;
    this.shared = path.join(folder, 'shared');
    const work = path.join(folder, 'work');
    for (const made of [this.shared, work]) fs.mkdirSync(made);
    const namespaces = `unshare ${NAMESPACES.join(' ')} --fork --kill-child`;
    const enter = `echo $$ > ${cgroup}/cgroup.procs; exec ${namespaces} sh ${BOOT}`;
    // With us it ends, however we end.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', 'sh', '-c', enter], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...{ PATH: `${process.env.PATH}:/usr/sbin:/sbin`, NODE: process.execPath },
        ...{ REPOSITORY: process.cwd(), WORK: work, SHARED: this.shared },
      },
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.on('data', chunk => {
        this.#said += chunk;
      });
  }

  /** Why this machine cannot have one; undefined when it seems that it can. */
  static impossible(): string | undefined {
    if (process.geteuid?.() !== 0) return 'it needs root';
    if (!fs.existsSync(SYSTEMD)) return 'systemd is not installed';
    if (!cgroupRoot()) return 'there is no control group of version 2';
    if (!fs.existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
    const probe = spawnSync('unshare', [...NAMESPACES, '--fork', 'sh', '-c', PROBE]);
    if (probe.status !== 0) return `a root of its own cannot be made: ${firstLine(probe.stderr)}`;
    return undefined;
  }

  /** @throws Error with what it said when it does not come up. */
  static async boot(): Promise<ServiceManager> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-systemd-'));
    const cgroup = path.join(cgroupRoot()!, `curling-test-${process.pid}`);
    fs.mkdirSync(cgroup);
    const manager = new ServiceManager(folder, cgroup);
    try {
      await until('a systemd that answers', () => manager.#answers());
      return manager;
    } catch (error) {
      await manager.end();
      throw new Error(`${error}; it said: ${manager.#said}`);
    }
  }

  /** A path of its root, as seen from here. */
  path(inside: string): string {
    return `/proc/${this.#pid}/root${inside}`;
  }

  write(inside: string, text: string, mode = 0o644): void {
    fs.mkdirSync(path.dirname(this.path(inside)), { recursive: true });
    fs.writeFileSync(this.path(inside), text, { mode });
  }

  /** Runs a program in it to its end. */
  execute(...command: string[]): Promise<string> {
    const enter = ['-t', String(this.#pid), '-m', '-p', '-n', '-u', '-i', '-C', 'env'];
    const path = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin';
    return run('nsenter', [...enter, path, ...command], { timeoutMs: 60_000 });
  }

  systemctl(...args: string[]): Promise<string> {
    return this.execute('systemctl', ...args);
  }

  /** Properties of a unit, as `systemctl show` has them. */
  async show(unit: string, ...names: string[]): Promise<Record<string, string>> {
    const text = await this.systemctl('show', unit, `--property=${names.join(',')}`);
    const lines = text.trimEnd().split('\n');
    return Object.fromEntries(lines.map(line => line.split(/=(.*)/s).slice(0, 2)));
  }

  /** Settings that differ from the unit's for a test. */
  async change(unit: string, settings: readonly string[]): Promise<void> {
    this.write(`/run/systemd/system/${unit}.d/test.conf`, `[Service]\n${settings.join('\n')}\n`);
    await this.systemctl('daemon-reload');
  }

  /** The lines of a unit in the journal, with their priority. */
  async journal(unit: string): Promise<{ priority: string; text: string }[]> {
    await this.execute('journalctl', '--sync');
    const text = await this.execute('journalctl', '--unit', unit, '--output=json');
    const rows = text.trim().split('\n').filter(Boolean);
    return rows
      .map(row => JSON.parse(row))
      .filter(row => row._TRANSPORT === 'stdout')
      .map(row => ({ priority: row.PRIORITY, text: row.MESSAGE }));
  }

  /** Ends all that runs in it, and leaves nothing behind. May be repeated. */
  async end(): Promise<void> {
    // The first process of a PID namespace takes all others with it.
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'close');
      if (this.#pid > 0) process.kill(this.#pid, 'SIGKILL');
      else this.#child.kill('SIGKILL');
      await ended;
    }
    await until('no control group', () => removeCgroup(this.#cgroup));
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }

  async #answers(): Promise<boolean> {
    if (this.#child.exitCode !== null) throw new Error('it ended');
    const children = `/proc/${this.#child.pid}/task/${this.#child.pid}/children`;
    this.#pid = Number(fs.readFileSync(children, 'utf8').trim().split(' ')[0]);
    if (!this.#pid || readComm(this.#pid) !== 'systemd') return false;
    const active = this.systemctl('is-active', 'curling-test.target', 'systemd-journald.service');
    return active.then(
      text => text === 'active\nactive\n',
      () => false,
    );
  }
}

function firstLine(output: Buffer | null): string {
  return String(output ?? 'unshare cannot be run').split('\n')[0]!;
}

function cgroupRoot(): string | undefined {
  const found = CGROUP_ROOTS.find(file => fs.existsSync(file));
  return found && path.dirname(found);
}

function readComm(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Whether it is gone; not while processes of it end. */
function removeCgroup(folder: string): boolean {
  try {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) removeCgroup(path.join(folder, entry.name));
    fs.rmdirSync(folder);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
  return true;
}
