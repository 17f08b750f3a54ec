/** With the register in etcd everything is as with a witness: one machine, whoever dies, etcd too. */
import test from 'ava';
import { HAS_ETCD } from '../../lab/etcd.ts';
import { killPart, logsOnFailure, untilState, untilWhole } from './faults.ts';
import {
  assertClean,
  deploy,
  PATIENT,
  protectedPair,
  UNFIT,
  untilRecords,
  untilSurvivor,
} from './scenario.ts';

/** Where it counts, a missing etcd is a failure. */
const WANTED = HAS_ETCD || process.env.CI !== undefined;

(UNFIT || !WANTED ? test.serial.skip : test.serial)(
  'a pair whose register is in etcd loses its primary, and etcd with its backup (needs root, qemu)',
  async t => {
    t.timeout(240_000);
    const deployment = await deploy(t, { register: 'etcd' });
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment);
    const { generation, witness } = await deployment.untilProtected('a');
    t.true(witness.reachable);
    await untilRecords(traffic, 300);
    deployment.lab.kill('a');
    const survivor = await untilSurvivor(deployment, 'b');
    t.is(survivor.generation, generation + 1);
    await untilRecords(traffic, 300);
    await deployment.startProxy('a');
    await deployment.startCoordinator('a', { role: 'backup', peers: ['b'], flags: PATIENT });
    const whole = await untilWhole(deployment, traffic, 'b');
    t.is(whole.generation, generation + 2);

    deployment.lab.witness.kill();
    await untilRecords(traffic, 100);
    await killPart(deployment, 'a', 'coordinator');
    await deployment.untilStatus(
      'b',
      'waiting for etcd',
      ({ state, reason }) => state === 'PRES' && reason.includes('etcd at http://'),
    );
    await deployment.startEtcd();
    await untilState(deployment, 'b', 'SOLO');
    await untilRecords(traffic, 100);
    assertClean(t, (await traffic.finish()).verdict);
  },
);
