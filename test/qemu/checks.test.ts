import test, { type ExecutionContext } from 'ava';
import { CurlingError } from '../../common/errors.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { checkHoldable, type HoldableOptions } from '../../coordinator/qemu/checks.ts';
import {
  compareGuests,
  describeGuest,
  type GuestDescription,
} from '../../coordinator/qemu/guest-description.ts';
import { queryMainMemory } from '../../coordinator/qemu/main-memory.ts';
import { FakeQemu } from './fake-qemu.ts';

/** What QEMU says about its machine, with a memory backend of these properties. */
function memoryAnswers(
  properties: object,
  backend: unknown = '/objects/pc.ram',
): (args: JsonObject) => unknown {
  const all: JsonObject = { size: 128 << 20, 'x-use-canonical-path-for-ramblock-id': false };
  return ({ path, property }) => {
    if (path !== '/machine') return { ...all, ...properties }[String(property)];
    return property === 'memory-backend' ? backend : 'pc-i440fx-7.2-machine';
  };
}

const CPU = { 'qom-path': '/machine/unattached/device[0]' };
const ANSWERS = {
  'query-version': { qemu: { major: 7, minor: 2, micro: 22 } },
  'query-memory-size-summary': { 'base-memory': 128 << 20 },
  'query-kvm': { enabled: true },
  'query-cpus-fast': [CPU, CPU],
  'query-pci': [],
  'query-block': [],
  'query-chardev': [],
  'human-monitor-command': '',
  'qom-get': memoryAnswers({}),
  'qom-list': [{ name: 'type', type: 'string' }],
};

async function fake(t: ExecutionContext, answers: object = {}): Promise<FakeQemu> {
  const qemu = await new FakeQemu({ ...ANSWERS, ...answers }).start();
  t.teardown(() => qemu.remove());
  return qemu;
}

const TCG = { 'query-kvm': { enabled: false } };
const ODD_RAM = { 'query-memory-size-summary': { 'base-memory': (128 << 20) - 8192 } };
const QEMU_9 = { 'query-version': { qemu: { major: 9, minor: 0, micro: 0 } } };
const DISKS = {
  'query-block': [
    { device: 'cd', inserted: { ro: true } },
    { device: 'empty' },
    { device: 'disk0', inserted: { ro: false } },
    { device: '', qdev: '/machine/peripheral/d1', inserted: { ro: false } },
  ],
};

const NETS = {
  'human-monitor-command':
    'n0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\r\n' +
    ' \\ t0: index=0,type=tap,ifname=tap0,script=no,downscript=no\r\n',
};
const BOTH_DISKS = ['disk0', '/machine/peripheral/d1'];

const holdable: [string, object, HoldableOptions, RegExp[]][] = [
  ['KVM', {}, {}, []],
  ['TCG with odd RAM', { ...TCG, ...ODD_RAM }, {}, [/lock workaround/]],
  ['TCG of QEMU 9', { ...TCG, ...QEMU_9 }, {}, [/lock workaround/]],
  [
    'allowed disks',
    DISKS,
    { allowUnheld: BOTH_DISKS },
    [/allowed: disk0 \(a writable disk; .*not rolled back/, /allowed: \/machine\/peripheral\/d1/],
  ],
  ['a tap that the proxy holds', NETS, { heldTaps: ['tap1', 'tap0'] }, []],
  ['a name for nothing', {}, { allowUnheld: ['com1'] }, [/com1: the guest has no exit/]],
  ['VNC', { 'query-vnc': { enabled: true } }, {}, [/VNC shows/]],
];
for (const [what, answers, options, warnings] of holdable) {
  test(`can be protected: ${what}`, async t => {
    const { qmp } = await fake(t, answers);
    const said = await checkHoldable(qmp, options);
    t.is(said.length, warnings.length);
    for (const [n, warning] of warnings.entries()) t.regex(said[n]!, warning);
  });
}

const refused: [string, object, string, RegExp][] = [
  ['TCG that loses pages', TCG, 'CURLING_QEMU_COLO', /-m 134209536B/],
  [
    'writable disks',
    DISKS,
    'CURLING_QEMU_UNHELD',
    /disk0 \(a writable disk;.*--allow-unheld disk0 --allow-unheld \/machine\/peripheral\/d1$/,
  ],
  ['a tap without a proxy', NETS, 'CURLING_QEMU_UNHELD', /t0 \(network through tap0; no proxy/],
  ['no capability', { 'query-migrate-capabilities': [] }, 'CURLING_QEMU_COLO', /x-colo is not/],
  [
    'no command',
    { 'x-colo-lost-heartbeat': undefined },
    'CURLING_QEMU_COLO',
    /lost-heartbeat is not/,
  ],
  [
    'a device that does not migrate',
    { 'query-migrate': { 'blocked-reasons': ['VFIO', 'NVMe'] } },
    'CURLING_QEMU_COLO',
    /VFIO; NVMe/,
  ],
  [
    'memory of two backends',
    { 'qom-get': memoryAnswers({}, '') },
    'CURLING_QEMU_MEMORY',
    /-numa node,memdev=ID.*use -machine memory-backend=ID/,
  ],
  [
    'a memory backend that is no object',
    { 'qom-get': memoryAnswers({}, '/machine/ram') },
    'CURLING_QEMU_MEMORY',
    /expected a memory backend \/objects\/ID, got "\/machine\/ram"/,
  ],
  [
    'memory of half a page',
    { 'qom-get': memoryAnswers({ size: 6144 }) },
    'CURLING_QEMU_MEMORY',
    /pc\.ram has 6144 bytes/,
  ],
  ['an answer of another shape', { 'query-block': 'none' }, 'CURLING_MESSAGE', /list of objects/],
];
for (const [what, answers, code, message] of refused) {
  test(`cannot be protected: ${what}`, async t => {
    const { qmp } = await fake(t, answers);
    await t.throwsAsync(checkHoldable(qmp), { code, message });
  });
}

const CANONICAL = 'x-use-canonical-path-for-ramblock-id';
const blocks: [string, object, string, string][] = [
  ['of a PC', {}, '/objects/pc.ram', 'pc.ram'],
  ['of a microvm', {}, '/objects/microvm.ram', 'microvm.ram'],
  ['that the operator named', {}, '/objects/mem-0', 'mem-0'],
  ['of an old machine', { [CANONICAL]: true }, '/objects/mem-0', '/objects/mem-0'],
];
for (const [what, properties, path, block] of blocks) {
  test(`the main memory ${what} is the block ${block}`, async t => {
    const { qmp } = await fake(t, { 'qom-get': memoryAnswers(properties, path) });
    t.deepEqual(await queryMainMemory(qmp), { block, bytes: 128 << 20 });
  });
}

test('a QEMU that knows no canonical paths names blocks by their ids', async t => {
  const answers = memoryAnswers({});
  const { qmp } = await fake(t, {
    'qom-get': (args: JsonObject) => {
      if (args.property !== CANONICAL) return answers(args);
      throw new CurlingError('CURLING_COMMAND_FAILED', 'no such property');
    },
  });
  t.is((await queryMainMemory(qmp)).block, 'pc.ram');
});

const PCI = (address: number, bus: number) => [
  {
    bus: 0,
    devices: [
      {
        slot: 3,
        function: 0,
        bus: 0,
        irq: bus,
        class_info: { class: 512 },
        id: { vendor: 0x1af4, device: 0x1000, 'subsystem-vendor': 0x1af4, subsystem: 1 },
        regions: [{ bar: 0, type: 'io', size: 32, address }],
        pci_bridge: { bus: { number: 0, secondary: bus }, devices: bus ? [{ slot: 1 }] : [] },
      },
    ],
  },
];

test('what firmware sets up does not count as a difference', async t => {
  const running = await fake(t, { 'query-pci': PCI(49_184, 1) });
  const standby = await fake(t, { 'query-pci': PCI(-1, 0) });
  const description = await describeGuest(running.qmp);
  t.deepEqual(description.pci, ['03.0 0200 1af4:1000:1af4:0001 0:io:32']);
  t.deepEqual(compareGuests(description, await describeGuest(standby.qmp)), []);
});

const HERE: GuestDescription = {
  qemuVersion: '7.2.22',
  machine: 'pc-i440fx-7.2-machine',
  ramBytes: 1 << 30,
  accel: 'kvm',
  cpus: 2,
  cpuFeatures: ['1/EDX=78bfbfd'],
  pci: ['00.0', '03.0', '03.0'],
  devices: ['net0 child<virtio-net-pci> 03.0'],
};

test('every difference is named, for both hosts', t => {
  const there = { ...HERE, machine: 'pc-q35-7.2-machine', cpus: 1, pci: ['00.0', '03.0', '04.0'] };
  const lines = compareGuests(HERE, there, { here: 'on b', there: 'on a' });
  // What to change stands behind it, once for each kind of difference.
  t.deepEqual(
    lines.map(line => line.replace(/ \(.*\)$/, ' (…)')),
    [
      'machine type: pc-i440fx-7.2-machine on b, pc-q35-7.2-machine on a (…)',
      'number of vCPUs: 2 on b, 1 on a (…)',
      'PCI device 03.0: only on b',
      'PCI device 04.0: only on a (…)',
    ],
  );
  const said = (change: Partial<GuestDescription>) =>
    compareGuests(HERE, { ...HERE, ...change }).join('; ');
  t.is(said({ ramBytes: 2 << 29 }), '');
  t.is(
    said({ ramBytes: 512 << 20 }),
    'RAM: 1024 MiB here, 512 MiB on the other host (-m must say the same)',
  );
  t.regex(said({ accel: 'tcg' }), /^accelerator: kvm here, tcg on the other host \(-accel .*KVM/);
  t.regex(said({ qemuVersion: '8.0.0' }), /7\.2\.22 here, 8\.0\.0 .* \(install the same QEMU/);
  t.regex(
    said({ devices: [] }),
    /^device net0 .* 03\.0: only here \(each -device .* id= and addr=/,
  );
  const many = Array.from({ length: 20 }, (_, word) => `${word}/EDX=1`);
  const features = said({ cpuFeatures: many });
  t.regex(
    features,
    /3\/EDX=1: only on the other host; 16 more: only on the other host \(-cpu must/,
  );
  t.true(features.length < 600, features);
  for (const key of Object.keys(HERE) as (keyof GuestDescription)[])
    t.true(compareGuests(HERE, { ...HERE, [key]: undefined }).length > 0, key);
});

test('a peer that sends anything else is no match and no crash', t => {
  for (const there of [null, 7, 'x', [], {}, { pci: 3, cpus: {} }])
    t.true(compareGuests(HERE, there).length > 0);
  t.deepEqual(compareGuests(HERE, JSON.parse(JSON.stringify(HERE))), []);
});
