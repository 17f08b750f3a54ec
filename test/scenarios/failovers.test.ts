/** Failover after failover: to a third host, back again over pulled cables, and with an old primary that comes back. */

import { Traffic } from '../../lab/traffic.ts';
import { logsOnFailure, pidsOf, untilState, untilWhole } from '../system/faults.ts';
import { assertClean, deploy, PATIENT, untilRecords, untilSurvivor } from '../system/scenario.ts';
import { heardPair, longScenario, reviveHost, scenario, startBackup, TRAFFIC } from './scenario.ts';

scenario('the guest outlives two hosts: from a to b, from b to c (needs root, qemu)', async t => {
  t.timeout(180_000);
  const deployment = await deploy(t, { hosts: ['a', 'b', 'c'] });
  logsOnFailure(t, deployment);
  await deployment.startGuest('a');
  await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags: PATIENT });
  await startBackup(deployment, 'b', 'c');
  await startBackup(deployment, 'c', 'a');
  const traffic = await Traffic.start(deployment.lab, TRAFFIC);
  await untilWhole(deployment, traffic, 'a');
  deployment.lab.kill('a');
  t.is((await untilWhole(deployment, traffic, 'b')).peer, 'c');
  deployment.lab.kill('b');
  const status = await untilSurvivor(deployment, 'c');
  t.is(status.generation, 5, 'create, pair, failover, pair, failover');
  await untilRecords(traffic, 100);
  await reviveHost(deployment, 'a');
  t.is((await untilWhole(deployment, traffic, 'c')).peer, 'a');
  assertClean(t, (await traffic.finish()).verdict);
});

longScenario(
  'two hosts take turns when their cables are pulled and put back (needs root, qemu)',
  async t => {
    const { deployment, traffic } = await heardPair(t);
    for (const [from, to] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      await deployment.lab.cut(from);
      await untilSurvivor(deployment, to);
      await untilState(deployment, from, 'PRES');
      await untilRecords(traffic, 100);
      await deployment.lab.restore(from);
      // The old primary learns of it, ends its guest and offers itself as the backup.
      t.is((await untilWhole(deployment, traffic, to)).peer, from);
    }
    assertClean(t, (await traffic.finish()).verdict);
  },
);

scenario(
  'an old primary that wakes up halts, and what it still says does no harm (needs root, qemu)',
  async t => {
    const { deployment, traffic } = await heardPair(t);

    deployment.lab.freeze('a');
    await untilSurvivor(deployment, 'b');
    await untilRecords(traffic, 100);
    const [frozen] = pidsOf(deployment, 'a', 'qemu');
    deployment.lab.thaw('a');
    t.is((await untilWhole(deployment, traffic, 'b')).peer, 'a');
    t.false(pidsOf(deployment, 'a', 'qemu').includes(frozen!), 'its guest was ended');
    assertClean(t, (await traffic.finish()).verdict);
  },
);

longScenario(
  'a coordinator that wakes up beside its guest halts, and the guest was never heard (needs root, qemu)',
  async t => {
    const { deployment, traffic } = await heardPair(t);
    // Its guest runs on, and speaks into the proxy.
    const [coordinator] = pidsOf(deployment, 'a', 'coordinator') as [number];
    process.kill(coordinator, 'SIGSTOP');
    await untilSurvivor(deployment, 'b');
    await untilRecords(traffic, 100);
    process.kill(coordinator, 'SIGCONT');
    t.is((await untilWhole(deployment, traffic, 'b')).peer, 'a');
    assertClean(t, (await traffic.finish()).verdict);
  },
);
