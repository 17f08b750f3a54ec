/** A host in a network namespace, on which `curling-install` works; its files are below a folder of its own. */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { run, toolEnvironment } from '../../common/run.ts';
import { RunningProxy } from '../proxy/lab.ts';

export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
export const SCRIPT = path.join(REPOSITORY, 'install/curling-install');
const UNIT = '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n';
const SETTLED_MS = 10_000;
const POLL_MS = 100;
/** What runs on by itself. */
const CLOCKS = /\b\w*_timer +\S+| tentative\b/g;

export interface Ended {
  /** Undefined when a signal ended it. */
  status: number | undefined;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end, whatever that is. */
export function outcome(command: string, args: readonly string[]): Promise<Ended> {
  const options = { env: toolEnvironment(), timeout: 60_000 };
  return new Promise(resolve => {
    execFile(command, args, options, (error, stdout, stderr) => {
      const status = error ? error.code : 0;
      resolve({ status: typeof status === 'number' ? status : undefined, stdout, stderr });
    });
  });
}

let hosts = 0;

export class InstallHost {
  readonly namespace = `cpt${process.pid}-i${hosts++}`;
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-install-'));
  /** Stands for / of its files. */
  readonly root = path.join(this.folder, 'root');

  /** Makes a bridge br0 with an uplink up0; all is gone at the end of the test. */
  static async create(t: ExecutionContext, bridge = ''): Promise<InstallHost> {
    const host = new InstallHost();
    t.teardown(() => host.#remove());
    const units = path.join(host.root, 'lib/systemd/system');
    fs.mkdirSync(units, { recursive: true });
    fs.writeFileSync(path.join(units, 'curling-proxy@.service'), UNIT);
    await run('ip', ['netns', 'add', host.namespace]);
    await host.ip(
      `link add br0 type bridge ${bridge}`,
      'link set br0 mtu 9000 addrgenmode none up',
      'link add up0 mtu 9000 type veth peer name wan0 mtu 9000',
      'link set up0 addrgenmode none master br0 up',
      'link set wan0 addrgenmode none up',
    );
    await host.settled();
    return host;
  }

  /** Waits until the uplink forwards, which takes its time with spanning tree, and the bridge has noticed. */
  async settled(): Promise<void> {
    // What the kernel says of a bridge's carrier comes up to a second later.
    for (let waitedMs = 0; waitedMs < SETTLED_MS; waitedMs += POLL_MS) {
      const port = await this.tool('bridge link show dev up0');
      const bridge = await this.tool('ip link show br0');
      if (port.includes('state forwarding') && bridge.includes('state UP')) return;
      await sleep(POLL_MS);
    }
    throw new Error('br0 does not forward');
  }

  async ip(...commands: string[]): Promise<void> {
    await run('ip', ['-n', this.namespace, '-batch', '-'], { input: `${commands.join('\n')}\n` });
  }

  tool(command: string): Promise<string> {
    return run('ip', ['netns', 'exec', this.namespace, ...command.split(' ')]);
  }

  /** Runs curling-install on this host, with the tools in `tools` before the real ones. */
  install(options: string, tools = '/sbin'): Promise<Ended> {
    const command = ['sh', SCRIPT, '--destdir', this.root, ...options.split(' ')];
    const path = `PATH=${tools}:${toolEnvironment().PATH}`;
    return outcome('ip', ['netns', 'exec', this.namespace, 'env', path, ...command]);
  }

  /** Starts a proxy on tap0, waits until it has started, and kills it. */
  async killProxy(initial: 'hold' | 'bypass'): Promise<void> {
    const control = path.join(this.folder, 'control.sock');
    const args = ['--tap', 'tap0', '--buffer-mib', '16', '--initial', initial];
    const proxy = RunningProxy.spawn(this.namespace, control, args);
    try {
      await proxy.connect();
    } finally {
      await proxy.end('SIGKILL');
    }
  }

  /** Links, bridge, filters, offloads, addresses and files, in lines to compare; without what changes by itself. */
  async snapshot(): Promise<string[]> {
    const everywhere = ['ip -d link', 'bridge -d link', 'bridge fdb', 'tc qdisc', 'ip addr'];
    const script = [
      ...[...everywhere, `find ${this.root}`].map(tool => `${tool} | sed 's|^|${tool}: |'`),
      'for link in $(ls /sys/class/net); do',
      '  { tc filter show dev $link ingress; ethtool -k $link; } | sed "s|^|$link: |"',
      'done',
    ];
    const command = ['netns', 'exec', this.namespace, 'sh', '-c', script.join('\n')];
    return (await run('ip', command)).replaceAll(CLOCKS, '').split('\n');
  }

  async #remove(): Promise<void> {
    await run('ip', ['netns', 'del', this.namespace]).catch(() => undefined);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What is in one of two snapshots alone. */
export function differences(before: readonly string[], after: readonly string[]): string[] {
  const only = (mark: string, some: readonly string[], others: readonly string[]) =>
    some.filter(line => !others.includes(line)).map(line => mark + line);
  return [...only('- ', before, after), ...only('+ ', after, before)];
}
