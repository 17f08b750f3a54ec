/** What leads out of a guest past the proxy, found in what QEMU says of itself: recorded answers, and a real QEMU. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import { chardevExits, outsideChardevs } from '../../coordinator/qemu/checks/chardevs.ts';
import { deviceExits } from '../../coordinator/qemu/checks/devices.ts';
import { diskExits } from '../../coordinator/qemu/checks/disks.ts';
import { judgeExits } from '../../coordinator/qemu/checks/exit.ts';
import { netdevExits, parseNetwork } from '../../coordinator/qemu/checks/netdevs.ts';
import { checkHoldable } from '../../coordinator/qemu/checks.ts';
import { QemuChild } from '../../coordinator/qemu/child.ts';
import { untilHolds } from '../../coordinator/qemu/qmp-queries.ts';

const NETWORK = [
  'hub 0',
  ' \\ h0',
  ' \\ h1: #net1: index=0,type=user,net=10.0.2.0,restrict=off',
  'virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56',
  ' \\ t0: index=0,type=tap,ifname=tap0,script=no,downscript=no',
  'virtio-net-pci.0: index=1,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56',
  ' \\ t0: index=1,type=tap,ifname=tap0,script=no,downscript=no',
  'e0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:58',
  ' \\ s0: index=0,type=socket,socket: udp=127.0.0.1:9001',
  ' \\ f0: index=0,type=tap,fd=3',
  'v0: index=0,type=vhost-user,vhost-user to vu',
  'x: index=0,type=dgram,udp=127.0.0.1:1235/127.0.0.1:1234',
  '',
].join('\r\n');

test('network back ends, as the monitor prints them', t => {
  const netdevs = parseNetwork(NETWORK);
  t.deepEqual(
    netdevs.map(({ id, type, ifname }) => [id, type, ifname ?? null]),
    [
      ['#net1', 'user', null],
      ['t0', 'tap', 'tap0'],
      ['s0', 'socket', null],
      ['f0', 'tap', null],
      ['v0', 'vhost-user', null],
      ['x', 'dgram', null],
    ],
  );
  const names = (held: string[], opened?: string[]) =>
    netdevExits(netdevs, held, opened).map(exit => exit.name);
  t.deepEqual(names(['tap0'], ['tap0']), ['#net1', 's0', 'v0', 'x']);
  t.deepEqual(names(['tap0'], ['tap0', 'tap1']), ['#net1', 's0', 'f0', 'v0', 'x']);
  t.deepEqual(names(['tap0'], []), ['#net1', 's0', 'f0', 'v0', 'x']);
  t.deepEqual(names(['tap1']), ['#net1', 't0', 's0', 'f0', 'v0', 'x']);
  t.deepEqual(parseNetwork(''), []);
});

test('devices that reach past QEMU', t => {
  const child = (name: string, type: string) => ({ name, type: `child<${type}>` });
  const listed = [
    { name: 'type', type: 'string' },
    ...[child('net0', 'virtio-net-pci'), child('rng0', 'virtio-rng-pci')],
    ...[child('gpu', 'vfio-pci'), child('fs', 'vhost-user-fs-pci'), child('key', 'usb-host')],
    ...[child('vs', 'vhost-vsock-pci'), child('m', 'filter-mirror'), child('io', 'iothread')],
    ...[child('device[4]', 'virtio-9p-pci'), child('sg', 'scsi-generic')],
    ...[child('device[5]', 'ivshmem-doorbell'), child('pc.ram', 'memory-backend-file')],
  ];
  const tpms = [
    { id: 'tpm0', model: 'tpm-crb', options: { type: 'passthrough', data: {} } },
    { id: 'tpm1', model: 'tpm-crb', options: { type: 'emulator', data: {} } },
  ];
  t.deepEqual(
    deviceExits(listed, tpms).map(exit => exit.name),
    ['gpu', 'fs', 'key', 'vs', 'm', 'virtio-9p-pci', 'sg', 'ivshmem-doorbell', 'tpm0'],
  );
});

test('disks by the name that their operator gave', t => {
  const blocks = [
    { device: 'cd', inserted: { ro: true } },
    { device: 'empty' },
    { device: 'd0', inserted: { ro: false, 'node-name': '#block7' } },
    { device: '', qdev: '/q', inserted: { ro: false, 'node-name': 'n1' } },
    { device: '', qdev: '/machine/peripheral/d2', inserted: { ro: false, 'node-name': '#b' } },
  ];
  t.deepEqual(
    diskExits(blocks).map(exit => exit.name),
    ['d0', 'n1', '/machine/peripheral/d2'],
  );
});

test('character devices that a device of the guest uses, and no monitor', t => {
  const chardevs = ['mon0', 'com', 'agent', 'nowhere'].map(label => ({ label, filename: '?' }));
  const kinds = [
    ...[
      { name: 'type', type: 'string' },
      { name: 'mon0', type: 'child<chardev-socket>' },
    ],
    ...[
      { name: 'com', type: 'child<chardev-pty>' },
      { name: 'agent', type: 'child<chardev-x>' },
    ],
    { name: 'nowhere', type: 'child<chardev-null>' },
  ];
  const outside = outsideChardevs(chardevs, kinds);
  t.deepEqual(chardevExits(outside, new Set(['com', 'agent', 'nowhere', ''])).length, 2);
  t.regex(chardevExits(outside, new Set(['com']))[0]!.what, /on a pty/);
});

test('exits are refused unless each is allowed', t => {
  const exits = ['a', 'b'].map(name => ({ name, what: 'x' }));
  t.deepEqual(judgeExits([], []), []);
  const refusal = { code: 'CURLING_QEMU_UNHELD', message: /through: b \(x\);.*--allow-unheld b$/ };
  t.throws(() => judgeExits(exits, ['a']), refusal);
  t.is(judgeExits(exits, ['a', 'b', 'c']).length, 3);
});

/** What checkHoldable says of a real QEMU with these words on its command line; it never runs. */
async function verdict(t: ExecutionContext, words: string[], folder: string): Promise<string> {
  const monitor = path.join(folder, 'qmp');
  const common = ['-nodefaults', '-no-user-config', '-display', 'none', '-S', '-m', '134209536B'];
  const child = new QemuChild(
    [
      ...['qemu-system-x86_64', '-machine', 'pc', '-accel', 'tcg', ...common],
      ...['-qmp', `unix:${monitor},server=on,wait=off`, ...words],
    ],
    path.join(folder, 'log'),
  );
  t.teardown(() => child.kill());
  let connected: QmpClient | undefined;
  const listens = async () => {
    if (child.exit) throw new Error(`QEMU ${child.exit}: ${child.said()}`);
    connected = await QmpClient.connect(monitor).catch(() => undefined);
    return connected !== undefined;
  };
  await untilHolds(listens, 'a monitor', 20_000, 10);
  const qmp = connected!;
  try {
    return (await checkHoldable(qmp)).join('\n');
  } catch (error) {
    return `refused: ${(error as Error).message}`;
  } finally {
    qmp.close();
    await child.kill();
    fs.rmSync(monitor, { force: true });
  }
}

test('needs qemu: every exit of a real QEMU is refused by its name', async t => {
  t.timeout(120_000);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-exits-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  const file = (name: string) => path.join(folder, name);
  fs.writeFileSync(file('disk'), Buffer.alloc(1 << 20));
  const fine = [
    ...['-device', 'virtio-rng-pci', '-chardev', 'null,id=n0', '-serial', 'chardev:n0'],
    ...['-chardev', 'ringbuf,id=r0', '-device', 'virtio-serial-pci'],
    ...['-device', 'virtserialport,chardev=r0,name=x', '-device', 'virtio-net-pci'],
    ...['-drive', `file=${file('disk')},format=raw,if=none,id=ro,read-only=on`],
    ...['-device', 'virtio-blk-pci,drive=ro'],
    ...['-chardev', `socket,id=mon,path=${file('mon')},server=on,wait=off`],
    ...['-mon', 'chardev=mon,mode=control', '-monitor', 'pty'],
  ];
  t.regex(await verdict(t, fine, folder), /^this guest runs under TCG[^\n]*$/);
  const cases: [string[], RegExp][] = [
    [['-drive', `file=${file('disk')},format=raw,if=virtio`], /: virtio0 \(a writable disk/],
    [['-serial', `unix:${file('com')},server=on,wait=off`], /: serial0 \(.* on a socket/],
    [['-serial', 'mon:stdio'], /: serial0 \(.* on a mux/],
    [['-chardev', 'pty,id=p', '-device', 'pci-serial,chardev=p'], /: p \(.* on a pty/],
    [
      [
        ...['-chardev', `socket,id=qga,path=${file('qga')},server=on,wait=off`],
        ...['-device', 'virtio-serial', '-device', 'virtserialport,chardev=qga,name=a'],
      ],
      /: qga \(/,
    ],
    [['-debugcon', `file:${file('debug')}`], /: debugcon|: debug/],
    [['-nic', 'user,id=u0,hostfwd=tcp:127.0.0.1:0-:22'], /: u0 \(network through user/],
    [
      [
        ...['-netdev', 'socket,id=s0,udp=127.0.0.1:9,localaddr=127.0.0.1:0'],
        ...['-device', 'e1000,netdev=s0'],
      ],
      /: s0 \(network through socket/,
    ],
    [
      [
        ...['-fsdev', `local,id=f,path=${folder},security_model=none`],
        ...['-device', 'virtio-9p-pci,fsdev=f,mount_tag=x'],
      ],
      /: virtio-9p-pci \(/,
    ],
    [
      [
        ...['-object', 'memory-backend-ram,id=m,size=1M,share=on'],
        ...['-device', 'ivshmem-plain,id=iv,memdev=m,master=on'],
      ],
      /: iv \(ivshmem-plain: memory shared/,
    ],
  ];
  for (const [words, expected] of cases) {
    const said = await verdict(t, words, folder);
    t.regex(said, /^refused: curling does not hold/, words.join(' '));
    t.regex(said, expected, words.join(' '));
  }
  t.regex(await verdict(t, ['-vnc', `unix:${file('vnc')}`], folder), /VNC shows/);
});
