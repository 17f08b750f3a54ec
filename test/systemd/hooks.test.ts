/** Hooks under a real systemd: libvirt's starts a unit and waits for it, the operator's run with what a unit leaves them. */
import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { until } from '../coordinator/bench.ts';
import { ServiceManager } from './manager.ts';

const APP = '/usr/lib/curling/build';
const DASHED = String.raw`curling-proxy@tap\x2d1.service`;
const problem = ServiceManager.impossible();
const managed = problem ? test.serial.skip : test.serial;
const where = problem ? `left out: ${problem}` : 'needs root, namespaces';
let manager: ServiceManager;

function machine(name: string, tap: string, port: number): void {
  const lines = [
    `tap = ["${tap}"]`,
    `listen = "127.0.0.1:${port}"`,
    `command = ["/usr/lib/curling-node/node", "${APP}/test/coordinator/fake-standby.js"]`,
  ];
  manager.write(`/etc/curling/vm/${name}.toml`, `${lines.join('\n')}\n`);
}

test.before(async () => {
  if (problem) return;
  manager = await ServiceManager.boot();
  manager.write('/etc/curling/keys', `a:${'5'.repeat(64)}\n`, 0o600);
  const common = ['host = "a"', 'keys = "/etc/curling/keys"', '[curling-coordinator]'];
  const text = [...common, 'witness = "127.0.0.1:7700"', ''].join('\n');
  manager.write('/etc/curling/curling.toml', text);
  machine('vm-1', 'tap0', 7701);
});

test.after.always(() => manager?.end());

/** Calls libvirt's hook as libvirt does. */
function prepare(guest: string): Promise<string> {
  const hook = '/usr/lib/curling/install/libvirt/50-curling';
  return manager.execute(hook, guest, 'prepare', 'begin', '-');
}

async function stateOf(tap: string): Promise<unknown> {
  const client = await QmpClient.connect(manager.path(`/run/curling/proxy-${tap}.sock`));
  const { state } = (await client.execute('query-status')) as JsonObject;
  client.close();
  return state;
}

managed(`libvirt's hook returns when the proxy's unit holds the tap (${where})`, async t => {
  t.is(await prepare('vm-1'), '');
  t.is(await stateOf('tap0'), 'hold');
  const unit = 'curling-proxy@tap0.service';
  const before = (await manager.show(unit, 'MainPID')).MainPID;
  t.is(await prepare('vm-1'), '', 'again, while it runs');
  t.is((await manager.show(unit, 'MainPID')).MainPID, before);
});

managed(`libvirt's hook refuses a guest whose tap is not there (${where})`, async t => {
  machine('vm-2', 'tap9', 7702);
  const error = await t.throwsAsync(prepare('vm-2'));
  t.regex(error!.message, /vm-2 is not started: its proxy does not hold: curling-proxy@tap9/);
});

managed(`a unit whose name has a dash is started as any other (${where})`, async t => {
  machine('vm-3', 'tap-1', 7703);
  // No device unit will come for it: this systemd has no udev.
  manager.write(
    `/run/systemd/system/${DASHED}`,
    `[Service]\nType=notify\nExecStart=/usr/sbin/curling-proxy --tap %I\nRuntimeDirectory=curling\nRuntimeDirectoryPreserve=yes\n`,
  );
  await manager.systemctl('daemon-reload');
  await manager.execute('ip', 'tuntap', 'add', 'tap-1', 'mode', 'tap', 'vnet_hdr');
  await manager.execute('ip', 'link', 'set', 'tap-1', 'master', 'br0', 'up');
  t.is(await prepare('vm-3'), '');
  t.is(await stateOf('tap-1'), 'hold');
});

managed(
  `an operator's hook runs with what a unit leaves it, and may ask for more (${where})`,
  async t => {
    const store = '/var/lib/curling/registers';
    await manager.execute('curling-witness', 'init', '--store', store);
    const witness = '[curling-witness]\nlisten = "127.0.0.1:7700"\n';
    manager.write('/etc/curling/conf.d/witness.toml', `${witness}store = "${store}"\n`);
    await manager.systemctl('start', 'curling-witness.service');
    const asked = '[Service]\nType=oneshot\nExecStart=/bin/touch /run/shared/asked\n';
    manager.write('/run/systemd/system/asked.service', asked);
    await manager.systemctl('daemon-reload');
    const hook = [
      '#!/bin/sh',
      '/usr/bin/systemctl --no-block start asked.service',
      'touch /etc/no 2>/dev/null && echo writable >/run/shared/etc',
      'grep CapEff /proc/self/status >/run/shared/capabilities',
      'echo "$CURLING_EVENT $CURLING_VM" >>/run/shared/seen',
    ];
    manager.write('/etc/curling/hooks.d/50-ask', `${hook.join('\n')}\n`, 0o755);
    await manager.systemctl('start', 'curling-coordinator@vm-1.service');
    const shared = (name: string) => path.join(manager.shared, name);
    await until('the hook has run', () => fs.existsSync(shared('seen')));
    await until('what it asked for was done', () => fs.existsSync(shared('asked')));
    t.is(fs.readFileSync(shared('seen'), 'utf8').split('\n')[0], 'EMPTY vm-1');
    t.false(fs.existsSync(shared('etc')), 'ProtectSystem');
    const [, mask] = fs.readFileSync(shared('capabilities'), 'utf8').split(/\s+/);
    t.is(BigInt(`0x${mask}`) & (1n << 21n), 0n, 'CAP_SYS_ADMIN');
  },
);
