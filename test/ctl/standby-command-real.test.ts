/** The standby's command of a real QEMU makes a QEMU that could take over its guest. */
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import { compareGuests, describeGuest } from '../../coordinator/qemu/guest-description.ts';
import { queryMainMemory } from '../../coordinator/qemu/main-memory.ts';
import { Standby } from '../../coordinator/qemu/standby.ts';
import { until } from '../coordinator/bench.ts';

const UNFIT = process.getuid?.() === 0 ? undefined : 'needs root, QEMU';
const real = UNFIT ? test.skip : test;

real(
  'a standby with the printed command equals the guest it is from (needs root, qemu)',
  async t => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-standby-'));
    t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
    const qmp = path.join(folder, 'qmp');
    const words = [
      ...['-machine', 'pc,memory-backend=mem0', '-accel', 'tcg', '-m', '16', '-S', '-nodefaults'],
      ...['-object', 'memory-backend-ram,id=mem0,size=16M', '-display', 'none'],
      ...['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,id=card,addr=5'],
      ...['-chardev', `socket,id=qm,path=${qmp},server=on,wait=off`],
      ...['-mon', 'chardev=qm,mode=control', '-pidfile', path.join(folder, 'pid')],
    ];
    const guest = spawn('qemu-system-x86_64', words, { stdio: ['ignore', 'ignore', 'inherit'] });
    t.teardown(() => guest.kill('SIGKILL'));
    await until('its monitor', () => fs.existsSync(qmp));
    const program = ['build/ctl/main.js', 'standby-command', '--from-qemu', qmp, '--json'];
    const printed = JSON.parse(execFileSync(process.execPath, program, { encoding: 'utf8' }));
    t.deepEqual(printed.warnings, []);
    const monitor = await QmpClient.connect(qmp);
    t.teardown(() => monitor.close());
    const { block, bytes } = await queryMainMemory(monitor);
    const standby = await Standby.start({
      argv: printed.command,
      memory: { mainBlock: block, ramBytes: bytes, shadowPath: path.join(folder, 'shadow') },
      duty: 'standby',
      qmpPath: path.join(folder, 'standby.qmp'),
      incomingPath: path.join(folder, 'incoming'),
      logPath: path.join(folder, 'log'),
    });
    t.teardown(() => standby.kill());
    const described = await describeGuest(monitor);
    t.deepEqual(compareGuests(await describeGuest(standby.qmp), described), []);
    t.regex(described.devices.join(), /card child<virtio-net-pci> 05\.0/);
  },
);
