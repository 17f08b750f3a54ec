import test from 'ava';
import { filesOf, isEmulated, memoryOf } from '../../ctl/check/command-line.ts';
import { type Finding, finding, type Tier, verdict } from '../../ctl/check/finding.ts';
import { atLeast, type HostFacts, judgeHost } from '../../ctl/check/host.ts';
import { judgeMachine, type MachineFacts } from '../../ctl/check/machine.ts';
import { judgeTap, type TapFacts } from '../../ctl/check/network.ts';
import { coloOf, judgeQemu, type QemuFacts } from '../../ctl/check/qemu.ts';
import { checkScreen } from '../../ctl/check/screen.ts';
import { painted, plain } from '../../ctl/color.ts';
import type { Link } from '../../proxy/links.ts';

const HOST: HostFacts = {
  node: '20.19.0',
  koffi: undefined,
  addons: { pcap: '3.1.0' },
  toolsMissing: [],
  kernel: '6.1.0-28-amd64',
  root: true,
  capabilitiesMissing: [],
  rehearsal: [{ what: 'bridge', error: undefined, todo: 'load it' }],
  bridgeCallsFirewall: undefined,
  clockSynchronised: true,
  clockSource: 'tsc',
  swappiness: 60,
  swapBytes: 0,
  overcommit: 0,
};
const QEMU: QemuFacts = {
  program: 'qemu',
  error: undefined,
  version: '7.2.22',
  coloMissing: [],
  kvmError: undefined,
  isEmulated: false,
};

function link(change: Partial<Link>): Link {
  const base = { index: 2, name: 'tap0', master: 'br0', mtu: 1500, flags: ['UP', 'LOWER_UP'] };
  const tap = { ...base, lower: undefined, mac: '', kind: 'tun', info: { type: 'tap' } };
  return { ...tap, portKind: 'bridge', port: { state: 'forwarding' }, ...change };
}

const BRIDGE = link({ name: 'br0', master: undefined, kind: 'bridge', info: {}, port: {} });
const TAP: TapFacts = {
  name: 'tap0',
  tap: link({}),
  master: BRIDGE,
  bridge: 'br0',
  ingressTaken: false,
  defaultRoutes: ['eth0'],
  addresses: [],
};
const MACHINE: MachineFacts = {
  vm: 'web',
  filesMissing: [],
  files: 2,
  memoryBytes: 2 ** 30,
  shadow: { dir: '/dev/shm/curling/web', isMemory: true, freeBytes: 2 ** 31 },
  coordinator: { found: 'PROTECTED' },
  proxy: { found: 'answers, and is in hold', unit: 'curling-proxy@tap0' },
  monitor: undefined,
  holdable: undefined,
  peers: [{ address: 'b:1', secure: true, found: 'answers' }],
  witness: { found: 'answers' },
  store: '0'.repeat(32),
  register: { exists: true, found: 'the register' },
};
const lost = { found: 'nobody there', code: 'CURLING_CONNECT' };

const STATUS = { must: 4, should: 1, could: 0 } as const;

/** What is as it is to be, and what one change of it makes wrong: its tier, and the words that tell. */
const WRONG: [what: string, findings: Finding[], tier: Tier, words: RegExp][] = [
  ['an old Node', judgeHost({ ...HOST, node: '20.18.1' }), 'must', /^node: 20\.18\.1/],
  ['koffi', judgeHost({ ...HOST, koffi: 'no such file' }), 'must', /^koffi: no such file/],
  ['a tool', judgeHost({ ...HOST, toolsMissing: ['tc'] }), 'must', /no tc on PATH.*iproute2/],
  ['an old kernel', judgeHost({ ...HOST, kernel: '5.6.19' }), 'must', /Linux 5\.6\.19.*5\.7/],
  [
    'a module',
    judgeHost({ ...HOST, rehearsal: [{ what: 'bridge', error: 'unknown', todo: 'load it' }] }),
    'must',
    /^bridge: unknown → load it/,
  ],
  ['CAP_NET_RAW', judgeHost({ ...HOST, capabilitiesMissing: ['NET_RAW'] }), 'must', /CAP_NET_RAW/],
  ['CAP_KILL', judgeHost({ ...HOST, capabilitiesMissing: ['KILL'] }), 'should', /CAP_KILL/],
  [
    'root',
    judgeHost({ ...HOST, root: false, capabilitiesMissing: ['IPC_LOCK'] }),
    'could',
    /as root/,
  ],
  ['an addon', judgeHost({ ...HOST, addons: { pcap: null } }), 'could', /pcap: not installed/],
  ['iptables', judgeHost({ ...HOST, bridgeCallsFirewall: true }), 'could', /bridge-nf-call-ip/],
  [
    'the clock',
    judgeHost({ ...HOST, clockSynchronised: false }),
    'could',
    /no decision of curling/,
  ],
  ['a slow clock', judgeHost({ ...HOST, clockSource: 'hpet' }), 'could', /clock source: hpet/],
  ['swap', judgeHost({ ...HOST, swapBytes: 1 }), 'could', /swappiness 60/],
  ['overcommit', judgeHost({ ...HOST, overcommit: 2 }), 'could', /overcommit_memory 2/],

  ['no QEMU', judgeQemu({ ...QEMU, version: undefined, error: 'ENOENT' }), 'must', /ENOENT.*apt/],
  ['COLO', judgeQemu({ ...QEMU, coloMissing: ['x-colo'] }), 'must', /has no x-colo/],
  ['an old 10.0', judgeQemu({ ...QEMU, version: '10.0.2' }), 'must', /10\.0\.2, whose COLO is br/],
  ['a 10.1', judgeQemu({ ...QEMU, version: '10.1.4' }), 'must', /10\.1\.4, whose COLO is broken/],
  ['a 10.0 between', judgeQemu({ ...QEMU, version: '10.0.7' }), 'should', /10\.0\.7: 10\.0\.2/],
  ['KVM', judgeQemu({ ...QEMU, kvmError: 'no /dev/kvm' }), 'must', /KVM: no \/dev\/kvm/],
  [
    'KVM for TCG',
    judgeQemu({ ...QEMU, kvmError: 'none', isEmulated: true }),
    'could',
    /emulation.*workarounds/,
  ],

  ['no tap', judgeTap({ ...TAP, tap: undefined }), 'must', /no such interface.*ip tuntap add/],
  ['the uplink', judgeTap({ ...TAP, defaultRoutes: ['tap0'] }), 'must', /own way to the network/],
  [
    'an address',
    judgeTap({ ...TAP, addresses: ['192.0.2.1'] }),
    'must',
    /\(192\.0\.2\.1\).*cut off/,
  ],
  ['macvtap', judgeTap({ ...TAP, tap: link({ kind: 'macvtap' }) }), 'must', /a macvtap interface/],
  ['a NIC', judgeTap({ ...TAP, tap: link({ kind: '' }) }), 'must', /a physical interface/],
  [
    'no bridge',
    judgeTap({ ...TAP, master: undefined }),
    'must',
    /port of no bridge.*master BRIDGE/,
  ],
  ['a bond', judgeTap({ ...TAP, master: link({ kind: 'bond' }) }), 'must', /a bond.*Open vSwitch/],
  ['another bridge', judgeTap({ ...TAP, bridge: 'br9' }), 'must', /is on br0.*told --bridge br9/],
  ['a dead bridge', judgeTap({ ...TAP, master: { ...BRIDGE, flags: [] } }), 'must', /br0 is down/],
  [
    'VLANs',
    judgeTap({ ...TAP, master: { ...BRIDGE, info: { vlan_filtering: 1 } } }),
    'must',
    /filters VLANs/,
  ],
  ['a filter', judgeTap({ ...TAP, ingressTaken: true }), 'must', /another at preference 1/],
  ['the MTU', judgeTap({ ...TAP, tap: link({ mtu: 9000 }) }), 'should', /9000.*1500.*mtu 1500/],
  ['a tap that is down', judgeTap({ ...TAP, tap: link({ flags: [] }) }), 'should', /is down/],
  [
    'spanning tree',
    judgeTap({ ...TAP, tap: link({ port: { state: 'listening' } }) }),
    'should',
    /its port is listening.*spanning tree/,
  ],

  ['a file', judgeMachine({ ...MACHINE, filesMissing: ['/k'] }), 'must', /web: command: no \/k/],
  [
    'memory',
    judgeMachine({ ...MACHINE, shadow: { ...MACHINE.shadow, freeBytes: 2 ** 30 } }),
    'should',
    /1\.0 GiB for a copy, which takes 1\.1 GiB/,
  ],
  [
    'a disk',
    judgeMachine({ ...MACHINE, shadow: { ...MACHINE.shadow, isMemory: false } }),
    'should',
    /not on a memory file system/,
  ],
  [
    'a peer',
    judgeMachine({ ...MACHINE, peers: [{ address: 'b:1', secure: true, ...lost }] }),
    'should',
    /peer b:1: nobody there/,
  ],
  [
    "a peer's keys",
    judgeMachine({
      ...MACHINE,
      peers: [{ address: 'b:1', secure: true, found: 'no', code: 'CURLING_TLS' }],
    }),
    'must',
    /the same keys/,
  ],
  ['the witness', judgeMachine({ ...MACHINE, witness: lost }), 'must', /witness: nobody.*start it/],
  [
    'another store',
    judgeMachine({ ...MACHINE, witness: { found: 'other', code: 'CURLING_WITNESS_STORE' } }),
    'must',
    /never take a new store/,
  ],
  ['a store', judgeMachine({ ...MACHINE, store: undefined }), 'should', /any store is believed/],
  [
    'a register',
    judgeMachine({ ...MACHINE, register: { exists: false, found: 'none' } }),
    'could',
    /curling-coordinator create --vm web/,
  ],
  [
    'a monitor',
    judgeMachine({ ...MACHINE, monitor: { ...lost, path: '/q' } }),
    'could',
    /right where the guest does not run/,
  ],
  [
    'a free monitor',
    judgeMachine({ ...MACHINE, monitor: { found: '', code: 'CURLING_TIMEOUT', path: '/q' } }),
    'should',
    /somebody else has \/q.*for curling alone/,
  ],
  [
    'a guest that can be held',
    judgeMachine({ ...MACHINE, holdable: { found: 'hd0', code: 'CURLING_QEMU_UNHELD' } }),
    'must',
    /web: guest: hd0/,
  ],
  [
    'a proxy',
    judgeMachine({ ...MACHINE, proxy: { ...lost, unit: 'curling-proxy@tap0' } }),
    'could',
    /start curling-proxy@tap0/,
  ],
  ['a coordinator', judgeMachine({ ...MACHINE, coordinator: lost }), 'could', /coordinator@web/],
];

test('a host, a QEMU, a tap and a machine as they are to be have nothing wrong', t => {
  const all = [judgeHost(HOST), judgeQemu(QEMU), judgeTap(TAP), judgeMachine(MACHINE)].flat();
  t.deepEqual(
    all.filter(({ ok }) => !ok),
    [],
  );
  t.true(all.every(({ todo }) => todo === undefined));
  t.deepEqual(verdict(all), { text: 'Looks good.', status: 0 });
  // Without a carrier a port is disabled, which says nothing of the spanning tree.
  const idle = judgeTap({ ...TAP, tap: link({ flags: ['UP'], port: { state: 'disabled' } }) });
  t.true(idle.every(({ ok }) => ok));
});

for (const [what, findings, tier, words] of WRONG) {
  test(`without ${what} one thing is wrong, and it is said what to do`, t => {
    const wrong = findings.filter(({ ok }) => !ok);
    t.is(wrong.length, 1, JSON.stringify(wrong));
    t.is(wrong[0]!.tier, tier);
    t.regex(`${wrong[0]!.subject}: ${wrong[0]!.found} → ${wrong[0]!.todo}`, words);
    t.is(verdict(findings).status, STATUS[tier]);
  });
}

test('versions are compared as numbers', t => {
  t.true(atLeast('5.10.0', [5, 7]));
  t.true(atLeast('v24.0.0', [20, 19]));
  t.false(atLeast('5.6', [5, 7]));
  t.false(atLeast('unknown', [5, 7]));
  const good = ['7.2.22', '8.0.0', '9.2.1', '10.0.13', '10.2.0', '11.0.0'];
  t.deepEqual(
    good.filter(version => !coloOf(version).ok),
    [],
  );
});

test("files and memory are found in QEMU's words", t => {
  const command = [
    ...[
      'qemu',
      '-kernel',
      '/k',
      '-m',
      '256',
      '-initrd',
      '/i',
      '-drive',
      'if=none,file=/a,,b,ro=on',
    ],
    ...[
      '-drive',
      'file=nbd://x/y',
      '-blockdev',
      'driver=file,filename=/c',
      '-m',
      'size=2G,slots=1',
    ],
  ];
  t.deepEqual(filesOf(command), ['/k', '/i', '/a,b', '/c']);
  t.is(memoryOf(command), 2 * 2 ** 30);
  t.is(memoryOf(['qemu']), 128 * 2 ** 20);
  t.is(memoryOf(['qemu', '-m', '134209536B']), 134_209_536);
  t.is(memoryOf(['qemu', '-m', 'some']), undefined);
  t.true(isEmulated(['qemu', '-accel', 'tcg']));
  t.false(isEmulated(['qemu', '-accel', 'kvm', '-accel', 'tcg']));
  t.false(isEmulated(['qemu']));
});

test('the screen has what is missing first, in its tier, and the verdict last', t => {
  const said = (tier: Tier, ok: boolean, subject: string) =>
    finding(tier, subject, { ok, found: 'x', todo: 'do it' });
  const findings = [
    said('must', true, 'a'),
    said('must', false, 'b'),
    said('should', false, 'c'),
    said('could', false, 'd'),
  ];
  t.is(
    checkScreen(findings, plain),
    [
      'must',
      '  FAIL  b                    x',
      '        → do it',
      '  ok    a                    x',
      '',
      'should',
      '  warn  c                    x',
      '        → do it',
      '',
      'could',
      '  note  d                    x',
      '        → do it',
      '',
      'Does not look good. Missing: 1 that must be, 1 that should be, 1 could be better.',
      '',
    ].join('\n'),
  );
  t.true(checkScreen(findings, painted).includes('\u001b[31mFAIL\u001b[39m'));
  t.is(verdict([said('should', false, 'c')]).text, 'Looks good but … missing: 1 that should be.');
  t.is(verdict([said('could', false, 'c')]).text, 'Looks good. 1 could be better.');
});
