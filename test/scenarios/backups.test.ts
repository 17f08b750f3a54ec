/** Backups that are not what they were: one that lost what it had acknowledged, one that was replaced and does not know it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment } from '../../lab/deployment.ts';
import { VM } from '../../lab/deployment.ts';
import { Traffic } from '../../lab/traffic.ts';
import { logsOnFailure, untilState, untilWhole } from '../system/faults.ts';
import { assertClean, deploy, PATIENT, untilRecords, untilSurvivor } from '../system/scenario.ts';
import {
  assertStopped,
  heardPair,
  longScenario,
  reviveHost,
  scenario,
  startBackup,
  TRAFFIC,
} from './scenario.ts';

/** Kills a whole host, wipes what it kept of the guest, and starts everything on it again. */
async function restartEmpty(deployment: Deployment, host: string, peer: string): Promise<void> {
  deployment.lab.kill(host);
  rmSync(join(deployment.lab.host(host).shmDir, VM), { recursive: true });
  await reviveHost(deployment, host, peer);
}

scenario(
  'a backup that lost what it acknowledged is somebody else, until it is copied to again (needs root, qemu)',
  async t => {
    const { deployment, traffic } = await heardPair(t);
    const before = (await deployment.status('b'))!.incarnation;

    await restartEmpty(deployment, 'b', 'a');
    const { generation } = await untilWhole(deployment, traffic, 'a');
    t.is(generation, 4, 'a new pair, after a ran alone');
    t.not((await deployment.status('b'))!.incarnation, before);
    deployment.lab.kill('a');
    await untilSurvivor(deployment, 'b');
    await untilRecords(traffic, 100);
    await reviveHost(deployment, 'a', 'b');
    await untilWhole(deployment, traffic, 'b');
    assertClean(t, await traffic.check());
    await untilRecords(traffic, 100);

    // Now the primary dies while its backup is empty. Nobody has the guest's state, and nobody pretends to.
    await restartEmpty(deployment, 'a', 'b');
    await untilState(deployment, 'a', 'JOIN');
    deployment.lab.kill('b');
    const status = await assertStopped(t, deployment, traffic, {
      host: 'a',
      state: 'JOIN',
      reason: /gives the machine to b (alone|with the backup a)$/,
    });
    t.is(status.role, 'none');
  },
);

longScenario(
  'a backup that was replaced, and does not know it, takes nothing over (needs root, qemu)',
  async t => {
    t.timeout(240_000);
    const deployment = await deploy(t, { hosts: ['a', 'b', 'c'] });
    logsOnFailure(t, deployment);
    await deployment.startGuest('a');
    await deployment.startCoordinator('a', { role: 'primary', peers: ['c', 'b'], flags: PATIENT });
    await startBackup(deployment, 'c');
    const traffic = await Traffic.start(deployment.lab, TRAFFIC);
    t.is((await untilWhole(deployment, traffic, 'a')).peer, 'c');
    await startBackup(deployment, 'b', 'c');
    const idle = /gives the machine to a with the backup c$/;
    await deployment.untilStatus('b', 'told why', ({ reason }) => idle.test(reason));

    await deployment.lab.cut('c', 'replication', 'witness');
    await untilState(deployment, 'c', 'FROZ');
    const { peer } = await deployment.untilStatus(
      'a',
      'protected by b',
      status => status.protected && status.peer === 'b',
    );
    t.is(peer, 'b');
    await untilRecords(traffic, 100);
    const stale = await deployment.untilStatus('c', 'without a witness', ({ reason }) =>
      /the witness/.test(reason),
    );
    t.is(stale.state, 'FROZ', 'it has a copy, and asks for a grant that it cannot get');

    deployment.lab.kill('a');
    await untilSurvivor(deployment, 'b');
    await untilRecords(traffic, 100);
    await deployment.lab.restore('c');
    t.is((await untilWhole(deployment, traffic, 'b')).peer, 'c', 'it dropped its copy');
    t.deepEqual((await deployment.status('c'))!.failovers, []);
    assertClean(t, (await traffic.finish()).verdict);
  },
);
