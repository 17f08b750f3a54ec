/**
 * The site of docs/operations.md: kvm1, kvm2 and a witness, each a machine with a file system of its own, in a lab. Where
 * the page needs what is not here, something stands in for it, and nothing else does: the table below is all of it.
 *
 * | the page                     | here                                                                              |
 * |------------------------------|-----------------------------------------------------------------------------------|
 * | KVM, a guest of 2 GiB        | TCG with its workarounds, 128 MiB, the lab's kernel words (a wrapper of QEMU); that |
 * |                              | KVM fails, `curlingctl check` may say                                             |
 * | systemd                      | systemctl.ts: runs what the installed units say                                   |
 * | apt-get, with a network      | dpkg, and dependencies that are not packages here (Node) taken as given            |
 * | scp                          | a copy between the roots of two machines                                          |
 * | poweroff --force --force     | every process of the machine is killed, its memory and its tap are gone           |
 * | STORE-ID, written by hand    | the id that `curling-witness init` printed                                        |
 * | etcd on e1, e2 and e3        | one member that has the three names, with their certificates in /root             |
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { GUEST_ADDRESS } from '../../lab/addresses.ts';
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import type { EchoSummary } from '../../lab/client/echo.ts';
import { ClientProcess } from '../../lab/client-process.ts';
import { ETCD, etcdArguments, HAS_ETCD } from '../../lab/etcd.ts';
import { buildImage, type GuestImage } from '../../lab/image.ts';
import { Lab } from '../../lab/lab.ts';
import { inRepository } from '../../lab/paths.ts';
import { guestArguments, TCG_SAFE_RAM_BYTES } from '../../lab/qemu.ts';
import { makeCertificates } from '../register/certificates.ts';
import { Machine, type Said } from './machine.ts';
import type { Step } from './page.ts';

const ETCD_NAMES = ['e1', 'e2', 'e3'];
const LAN = '192.0.2';
const REPLICATION = '198.51.100';
const SCP = /^scp -p (\S+) (\w+):(\S+)$/;
/** Shims that must never be the machine's own. */
const POWER = ['poweroff', 'reboot', 'halt', 'shutdown'];

export class Site {
  readonly lab: Lab;
  readonly machines: Record<string, Machine>;
  #storeId = 'STORE-ID';

  private constructor(lab: Lab, machines: Record<string, Machine>) {
    this.lab = lab;
    this.machines = machines;
  }

  /** Builds the site as an operator finds it: bridges and addresses, a guest's files, and no curling. */
  static async create(t: ExecutionContext, packageFile: string): Promise<Site> {
    const image = await buildImage();
    const lab = await Lab.create({ hosts: ['kvm1', 'kvm2'] });
    t.teardown(() => lab.destroy());
    const machines: Record<string, Machine> = { witness: new Machine('witness', lab.witness) };
    for (const [index, host] of lab.hosts.entries()) {
      machines[host.name] = new Machine(host.name, host);
      const addresses = [
        ['link', 'delete', 'dev', host.tap],
        ['address', 'add', `${LAN}.${11 + index}/24`, 'dev', host.bridge],
        ['address', 'add', `${REPLICATION}.${11 + index}/24`, 'dev', host.replicationInterface],
      ];
      for (const words of addresses) await host.run('ip', words);
    }
    await lab.witness.run('ip', ['address', 'add', `${LAN}.9/24`, 'dev', 'eth0']);
    const site = new Site(lab, machines);
    const certificates = await site.#startEtcd();
    for (const machine of Object.values(machines)) {
      await machine.boot();
      site.#furnish(machine, image, packageFile);
      for (const [name, file] of Object.entries(certificates)) machine.copy(file, `/root/${name}`);
    }
    return site;
  }

  machine(name: string): Machine {
    const machine = this.machines[name];
    if (!machine)
      throw new Error(`the page names ${name}; there are ${Object.keys(this.machines)}`);
    return machine;
  }

  /** Does what a reader does with one step, on one of its machines. */
  async do(step: Step, name: string): Promise<Said> {
    const machine = this.machine(name);
    if (!machine.on) {
      await machine.boot();
    }
    if (step.text.includes('--etcd') && !HAS_ETCD) return { status: 0, output: 'no etcd here' };
    if (POWER.some(word => step.text.trimStart().startsWith(word))) {
      await this.#cutPower(machine);
      return { status: 0, output: '' };
    }
    let output = '';
    // What stands between two copies is typed at once.
    for (const part of step.text.split(/^(scp .*)\n/m)) {
      const [, from, to, path] = SCP.exec(part) ?? [];
      if (from && to && path) {
        this.machine(to).copy(machine.path(from), path);
        continue;
      }
      const said = withoutKvm(await machine.type(part.replaceAll('STORE-ID', this.#storeId)));
      output += said.output;
      if (said.status !== 0) return { status: said.status, output };
    }
    this.#storeId = /^[0-9a-f]{32}$/m.exec(output)?.[0] ?? this.#storeId;
    return { status: 0, output };
  }

  /** A client outside that keeps one connection to the guest open. */
  async talk(): Promise<() => Promise<EchoSummary>> {
    const to = `${GUEST_ADDRESS}:${SERVICE_PORTS.echo}`;
    const args = ['--to', to, '--rate', '20', '--progress', '200'];
    const echo = await ClientProcess.start(this.lab.client, 'echo', args);
    return async () => (await echo.stop()) as unknown as EchoSummary;
  }

  async #cutPower(machine: Machine): Promise<void> {
    machine.cutPower();
    // A tap is memory of the kernel; bridge and addresses are made by the machine's own configuration when it boots.
    const links = JSON.parse(await machine.node.run('ip', ['-json', 'link'])) as {
      ifname: string;
    }[];
    if (links.some(link => link.ifname === 'tap0'))
      await machine.node.run('ip', ['link', 'delete', 'dev', 'tap0']);
  }

  /** Returns what its clients need, by the names that the page gives them. */
  async #startEtcd(): Promise<Record<string, string>> {
    if (!HAS_ETCD) return {};
    const { witness } = this.lab;
    const folder = witness.runDir;
    await makeCertificates(
      folder,
      ETCD_NAMES.map(name => `DNS:${name}`),
    );
    const file = (name: string) => join(folder, name);
    const tls = { ca: file('ca.pem'), cert: file('server.pem'), key: file('server.key') };
    const url = `https://${LAN}.9:2379`;
    const options = { url, dataDir: file('etcd'), peerPort: 2380, tls };
    witness.spawn(ETCD, etcdArguments(options), { log: 'etcd' });
    return {
      'ca.pem': file('ca.pem'),
      'host.pem': file('client.pem'),
      'host.key': file('client.key'),
    };
  }

  #furnish(machine: Machine, image: GuestImage, packageFile: string): void {
    const script = (name: string, text: string) =>
      machine.write(`/usr/local/bin/${name}`, `#!/bin/bash\n${text}`, 0o755);
    const program = inRepository('build/test/operator/systemctl.js');
    script('systemctl', `exec ${process.execPath} ${program} "$@"\n`);
    script('apt-get', APT_GET);
    for (const name of POWER) script(name, 'exit 1\n');
    machine.copy(packageFile, '/root/curling_0.1.0_amd64.deb');
    const hosts = ETCD_NAMES.map(name => `${LAN}.9 ${name}\n`).join('');
    machine.write('/etc/hosts', `127.0.0.1 localhost\n${hosts}`);
    const host = this.lab.hosts.find(one => one.name === machine.name);
    if (!host) return;
    const args = guestArguments(host, { image });
    const words = args[args.indexOf('-append') + 1]!;
    script('qemu-system-x86_64', qemuWrapper(image.condWait, words));
    machine.copy(image.kernel, '/srv/web/vmlinuz');
    machine.copy(image.initrd, '/srv/web/initrd');
  }
}

/** A check that misses KVM and nothing else that must be is as the page has it. */
function withoutKvm(said: Said): Said {
  const missing = [...said.output.matchAll(/^ {2}FAIL {2}(\S+)/gm)].map(match => match[1]);
  const onlyKvm = missing.length === 1 && missing[0] === 'KVM';
  return onlyKvm && said.status === 4 ? { ...said, status: 1 } : said;
}

const APT_GET = `set -eu
verb=$1
shift
[ "$1" != -y ] || shift
case $verb in
  install) exec dpkg --force-depends --force-confold -i "$@" ;;
  purge) exec dpkg --purge "$@" ;;
esac
exit 100
`;

/** A QEMU that daemonizes forks with its big lock held, which the workaround then takes for somebody else's. */
function qemuWrapper(condWait: string, kernelWords: string): string {
  return `words=()
while [ $# -gt 0 ]; do
  case $1 in
    -accel) words+=(-accel tcg); shift ;;
    -cpu) words+=(-cpu qemu64,+rdrand); shift ;;
    -smp) words+=(-smp 1); shift ;;
    -m) words+=(-m ${TCG_SAFE_RAM_BYTES}B); shift ;;
    -append) words+=(-append '${kernelWords.replaceAll("'", '')}'); shift ;;
    -device) words+=(-device "$2,romfile="); shift ;;
    -daemonize) daemonize=yes ;;
    -qmp) qmp=\${2#unix:}; words+=("$1") ;;
    *) words+=("$1") ;;
  esac
  shift
done
export LD_PRELOAD=${condWait}
[ \${daemonize:-no} = yes ] || exec /usr/bin/qemu-system-x86_64 "\${words[@]}"
setsid /usr/bin/qemu-system-x86_64 "\${words[@]}" </dev/null >/tmp/qemu.log 2>&1 &
for attempt in {1..100}; do
  [ ! -S "\${qmp%%,*}" ] || exit 0
  sleep 0.1
done
cat /tmp/qemu.log >&2
exit 1
`;
}

/** docs/operations.md, as it is in this checkout. */
export function operationsPage(): string {
  return readFileSync(join(inRepository('docs'), 'operations.md'), 'utf8');
}
