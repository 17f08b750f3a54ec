/**
 * A guest whose checkpoints come in Curling's own stream survives its host. Its QEMU is driven by lab/curling, which stands
 * in for the patches of 2013: the coordinator only sees their stream, and cannot answer.
 */
import test from 'ava';
import { inRepository } from '../../lab/paths.ts';
import { senderMonitorOf } from '../../lab/qemu.ts';
import { OLD_MACHINE } from '../../lab/shape.ts';
import { Traffic } from '../../lab/traffic.ts';
import { logsOnFailure } from './faults.ts';
import { assertClean, deploy, PATIENT, UNFIT, untilRecords, untilSurvivor } from './scenario.ts';

const SOURCE = '127.0.0.1:7703';
const WAITS = /waits for checkpoints: type migrate -f tcp:127\.0\.0\.1:7703/;

(UNFIT ? test.serial.skip : test.serial)(
  "Curling's own stream: a guest of 2013 survives its host (needs root, qemu)",
  async t => {
    t.timeout(180_000);
    const deployment = await deploy(t, { guest: { machine: OLD_MACHINE, senderMonitor: true } });
    logsOnFailure(t, deployment);
    await deployment.startGuest('a');
    const flags = [...PATIENT, '--source', `curling:${SOURCE}`];
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags });
    await deployment.startCoordinator('b', { role: 'backup', peers: ['a'], flags });
    await deployment.untilStatus('a', 'waiting', ({ reason }) => WAITS.test(reason));
    const host = deployment.lab.host('a');
    const sender = [inRepository('build/lab/curling/main.js'), '--to', SOURCE];
    host.spawn(process.execPath, [...sender, '--qmp', senderMonitorOf(host)], { log: 'sender' });
    await deployment.untilProtected('a');

    const traffic = await Traffic.start(deployment.lab, { recordsRate: 300, echoRate: 10 });
    await untilRecords(traffic, 300);
    const { checkpoint, outputDelayMs, epoch } = (await deployment.status('a'))!;
    t.log({ epoch, bytes: checkpoint.bytesP50, commitMs: checkpoint.commitMs, outputDelayMs });
    deployment.lab.kill('a');
    const { failovers } = await untilSurvivor(deployment, 'b');
    t.log(failovers.at(-1));
    t.true(failovers.at(-1)!.epoch >= epoch.released);
    await untilRecords(traffic, 100);
    assertClean(t, (await traffic.finish()).verdict);
  },
);
