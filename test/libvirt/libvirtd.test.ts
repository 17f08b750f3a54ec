/** A guest that a real libvirt starts, protected: from `virsh start` to the host that runs on. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { run } from '../../common/run.ts';
import { VM } from '../../lab/deployment.ts';
import type { LabHost } from '../../lab/node.ts';
import { inRepository } from '../../lab/paths.ts';
import { serialPathOf } from '../../lab/qemu.ts';
import { Traffic } from '../../lab/traffic.ts';
import { eventsOf, logsOnFailure, until, untilEvent, untilState } from '../system/faults.ts';
import { assertClean, deploy, PATIENT, UNFIT, untilRecords } from '../system/scenario.ts';
import { filesOf, writeDomain } from './domain.ts';
import { HAS_LIBVIRT, Libvirtd } from './libvirtd.ts';

const WANTED = HAS_LIBVIRT || process.env.CI !== undefined;
const libvirt = UNFIT || !WANTED ? test.serial.skip : test.serial;

function linesOf(host: LabHost, name: string): string[] {
  const file = join(host.runDir, name);
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
}

/** The command of the guest that runs, as the docs have an operator get it. */
async function standbyCommand({ root }: Libvirtd): Promise<string[]> {
  const script = inRepository('install/libvirt/standby-command');
  const text = await run('env', [`CURLING_TEST_ROOT=${root}`, script, VM]);
  // A list of TOML's basic strings, one a line, is almost one of JSON.
  return JSON.parse(text.replace('command = ', '').replace(/,\n\]/, ']')) as string[];
}

async function proxyState(socket: string): Promise<unknown> {
  const client = await QmpClient.connect(socket);
  const { state } = (await client.execute('query-status')) as JsonObject;
  client.close();
  return state;
}

libvirt(
  'a guest that libvirt starts is held, is protected, and lives on when libvirt ends it (needs root, QEMU, libvirt)',
  async t => {
    t.timeout(240_000);
    const deployment = await deploy(t, { proxies: ['b'] });
    logsOnFailure(t, deployment);
    const a = deployment.lab.host('a');
    const libvirtd = await Libvirtd.start(a, filesOf(deployment, a));
    await libvirtd.virsh('define', writeDomain(deployment, a));
    await libvirtd.virsh('start', VM);
    const started = ['prepare begin', 'start begin', 'started begin'];
    t.deepEqual(
      linesOf(a, 'words'),
      started.map(words => `${VM} ${words} -`),
    );
    t.deepEqual(linesOf(a, 'systemctl'), [`start curling-proxy@${a.tap}.service`]);
    const ready = () => /^workload ready/m.test(readFileSync(serialPathOf(a), 'latin1'));
    await until('the guest has booted', ready);

    t.is(await proxyState(deployment.proxyPath(a)), 'hold', 'nobody said that it may speak');

    const command = ['env', `LD_PRELOAD=${deployment.image.condWait}`];
    command.push(...(await standbyCommand(libvirtd)));
    const pair = { flags: PATIENT, standbyCommand: command };
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], ...pair });
    await deployment.startCoordinator('b', { role: 'backup', peers: ['a'], ...pair });
    await deployment.untilProtected('a');
    const traffic = await Traffic.start(deployment.lab);
    await untilRecords(traffic, 200);

    await libvirtd.restart();
    await until('it has found its guest', () => linesOf(a, 'words').length === 4);
    t.is(linesOf(a, 'words')[3], `${VM} reconnect begin -`);
    t.is((await libvirtd.virsh('list', '--name')).trim(), VM);
    await untilRecords(traffic, 200);
    t.deepEqual(
      eventsOf(deployment, 'b', 0).filter(name => name === 'FAILED_OVER'),
      [],
    );

    // What libvirt calls the end of the guest is the loss of a host to curling.
    await libvirtd.virsh('destroy', VM);
    await untilEvent(deployment, 'b', 'FAILED_OVER', 0);
    await untilRecords(traffic, 200);
    const ended = ['stopped end', 'release end'].map(words => `${VM} ${words}`);
    t.deepEqual(
      linesOf(a, 'words')
        .slice(4)
        .map(line => line.replace(/ \S+$/, '')),
      ended,
    );

    // The former host becomes the backup, and libvirt must not start a second machine there.
    await deployment.untilProtected('b');
    await untilState(deployment, 'a', 'BACK');
    const refused = await t.throwsAsync(libvirtd.virsh('start', VM));
    t.regex(refused!.message, /curling: demo is not started: a QEMU has tap0 open/);
    await untilRecords(traffic, 200);
    t.true((await deployment.status('b'))!.protected);
    assertClean(t, (await traffic.finish()).verdict);
  },
);
