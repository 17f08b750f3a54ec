import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { Finding } from '../../ctl/check/finding.ts';
import { rehearse } from '../../ctl/check/rehearsal.ts';
import { Bench, STANDBY_COMMAND, VM } from '../coordinator/bench.ts';
import { TapLab } from '../proxy/lab.ts';
import { echo, keyFile, keysOf } from '../wire/rig.ts';
import { folder } from './documents.ts';

const CTL = fileURLToPath(new URL('../../ctl/main.js', import.meta.url));
const UNFIT = process.getuid?.() === 0 ? undefined : 'needs root, QEMU and namespaces';
const real = UNFIT === undefined ? test : test.skip;

interface Checked {
  status: number | null;
  /** `subject: found`, of what is not as it is to be, and of what is. */
  wrong: string[];
  right: string[];
}

/** Runs the check as an operator does. @param within A network namespace. */
async function check(args: readonly string[], within?: string): Promise<Checked> {
  const words = [process.execPath, CTL, 'check', '--json', ...args];
  const [program, ...rest] =
    within === undefined ? words : ['ip', 'netns', 'exec', within, ...words];
  const { status, stdout } = await new Promise<{ status: number | null; stdout: string }>(
    resolve => {
      const child = execFile(program!, rest, (_error, text) =>
        resolve({ status: child.exitCode, stdout: text }),
      );
    },
  );
  const findings = JSON.parse(stdout) as Finding[];
  const said = (ok: boolean) =>
    findings.filter(one => one.ok === ok).map(({ subject, found }) => `${subject}: ${found}`);
  return { status, wrong: said(false), right: said(true) };
}

/** Configuration files with one machine. */
function configuration(t: ExecutionContext, text: string): string {
  const dir = folder(t);
  fs.mkdirSync(path.join(dir, 'vm'));
  fs.writeFileSync(path.join(dir, 'vm', `${VM}.toml`), text);
  return dir;
}

real(
  'the kernel does what the datapath asks, and the QEMU has COLO (needs root, namespaces, QEMU)',
  async t => {
    for (const { what, error } of await rehearse()) t.is(error, undefined, what);
    const { right } = await check(['--config', 'none']);
    t.true(right.some(line => /^QEMU: \d+\.\d+\.\d+$/.test(line)));
    t.true(right.includes('COLO: is built in'));
    const none = await check(['--config', 'none', '--qemu', '/no/such/qemu']);
    t.is(none.status, 4);
    t.true(
      none.wrong.some(line => /^QEMU: .*ENOENT/.test(line)),
      none.wrong.join('\n'),
    );
  },
);

real('taps are looked at as they are (needs root, namespaces)', async t => {
  const lab = await TapLab.create(t);
  await lab.ip([
    'link add loose type veth peer name free',
    'link set up0 mtu 1400',
    'addr add 192.0.2.1/24 dev loose',
  ]);
  const taps = ['tap0', 'up0', 'loose', 'free', 'none'];
  const options = taps.flatMap(tap => ['--tap', tap]);
  // Timers of the bridge run.
  const links = async () => (await lab.tool('ip -d link')).replace(/timer +[\d.]+/g, '');
  const before = await links();
  const { status, wrong, right } = await check(['--config', 'none', ...options], lab.namespace);
  t.is(status, 4);
  const about = (lines: string[]) => lines.filter(line => line.startsWith('tap '));
  t.deepEqual(about(wrong), [
    'tap tap0: has an MTU of 1500, br0 one of 1400',
    "tap loose: is the host's own way to the network (192.0.2.1)",
    'tap free: is a port of no bridge',
    'tap none: there is no such interface',
  ]);
  t.true(right.includes('tap tap0: its port is forwarding'));
  t.is(await links(), before, 'nothing is changed');
});

real('a machine is looked at as it is configured (needs root, namespaces, QEMU)', async t => {
  const bench = await Bench.create(t);
  await bench.guest();
  const keys = keyFile(t, 'a', 'b');
  const peer = await echo(t, { credentials: keysOf(keys) });
  const text = (peerPort: number, more = '') =>
    [
      `host = "a"`,
      `keys = "${keys}"`,
      `witness = "127.0.0.1:${bench.witness.port}"`,
      `proxy = "${bench.path('proxy.sock')}"`,
      `run-dir = "${bench.path('run')}"`,
      `qmp = "${bench.path('qmp.sock')}"`,
      `listen = "127.0.0.1:${bench.port}"`,
      `peer = "127.0.0.1:${peerPort}"`,
      `command = ${JSON.stringify([...STANDBY_COMMAND, '-kernel', '/no/such/kernel'])}`,
      more,
    ].join('\n');
  // The witness of the bench speaks plaintext: its keys cannot be accepted, which is found.
  const dir = configuration(t, text(peer.port));
  const keyed = await check([VM, '--config', dir]);
  t.is(keyed.status, 4);
  t.true(
    keyed.right.includes(`peer 127.0.0.1:${peer.port}: answers, and proves itself`),
    keyed.wrong.join('\n'),
  );
  t.true(keyed.wrong.some(line => line.startsWith('witness: ')));
  t.true(keyed.wrong.includes(`${VM}: command: no /no/such/kernel`));
  t.true(keyed.right.includes(`${VM}: proxy: answers, and is in hold`));
  t.true(keyed.right.includes(`${VM}: guest: can be protected`), keyed.wrong.join('\n'));
  t.true(keyed.wrong.includes(`${VM}: coordinator: does not run`));

  const plain = text(bench.port).replace(/^keys.*$/m, '');
  const { right, wrong } = await check([VM, '--config', configuration(t, plain)]);
  t.true(
    right.some(line => line.startsWith('witness: answers, with the store')),
    wrong.join('\n'),
  );
  t.true(wrong.includes(`${VM}: register: there is none yet`));
  t.true(wrong.includes('witness store: any store is believed'));
  t.true(wrong.some(line => /^peer .*ECONNREFUSED/.test(line)));
  t.is(bench.proxy.said.filter(command => command !== 'query-status').length, 0);

  const broken = await check(['--config', configuration(t, 'listne = "x"')]);
  t.true(broken.wrong.some(line => /^configuration: .*vm1\.toml:1: unknown key listne/.test(line)));
  const other = await check(['db', '--config', dir]);
  t.true(other.wrong.includes(`configuration: ${dir} has no vm/db.toml`));
});
