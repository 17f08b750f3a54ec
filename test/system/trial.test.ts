/** What a backup cannot run is found while the primary still does, and what hangs on the primary runs on at the backup. */
import test from 'ava';
import { eventsOf, logsOnFailure, pidsOf, untilState } from './faults.ts';
import { assertMeasured, metricsOf, sampleOf } from './metrics.ts';
import {
  assertClean,
  deploy,
  PATIENT,
  protectedPair,
  UNFIT,
  untilRecords,
  untilSurvivor,
} from './scenario.ts';

const qemu = UNFIT ? test.serial.skip : test.serial;

qemu(
  'a standby of the same description that cannot load the state is refused at pairing (needs root, qemu)',
  async t => {
    t.timeout(120_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    await deployment.startGuest('a');
    await deployment.startCoordinator('b', {
      role: 'backup',
      flags: PATIENT,
      // The guest's driver uses this feature of its card; no description shows it.
      standbyWords: ['-global', 'virtio-net-device.ctrl_vq=off'],
    });
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags: PATIENT });
    const words = /trial load of the full copy failed: .*load of migration failed/s;
    const refused = await deployment.untilStatus(
      'a',
      'refused, and not tried again at once',
      ({ reason }) => words.test(reason) && /tried again after \d/.test(reason),
    );
    t.is(refused.state, 'SOLO');
    t.is(refused.proxy.state, 'bypass');
    t.true(refused.running);
    const starts = eventsOf(deployment, 'a', 0).filter(name => name === 'PROTECTION_STARTED');
    t.is(starts.length, 1, 'the refusal after the failed trial costs no copy');
    const backup = (await deployment.status('b'))!;
    t.is(backup.state, 'JOIN');
    t.regex(backup.reason, words);
    t.is(backup.trialMs, null);
    t.deepEqual(pidsOf(deployment, 'b', 'qemu'), [], 'neither spare nor standby is left');
  },
);

qemu(
  'a QEMU that hangs is left to the backup, and says nothing when it wakes up (needs root, qemu)',
  async t => {
    t.timeout(180_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment);
    t.true((await deployment.status('b'))!.trialMs! > 0);
    await untilRecords(traffic, 200);
    assertMeasured(t, await metricsOf(deployment, 'a'));
    const [hung] = pidsOf(deployment, 'a', 'qemu') as [number];
    process.kill(hung, 'SIGSTOP');
    t.teardown(() => {
      if (pidsOf(deployment, 'a', 'qemu').includes(hung)) process.kill(hung, 'SIGKILL');
    });
    const survivor = await untilSurvivor(deployment, 'b');
    t.regex(survivor.failovers[0]!.reason, /QEMU hangs: QEMU sent nothing for 3000 ms in state/);
    const counted = sampleOf(await metricsOf(deployment, 'b'), 'curling_failovers_total', {
      reason: 'guest',
    });
    t.is(counted, 1);
    await untilRecords(traffic, 200);
    await untilState(deployment, 'a', 'HALT');
    process.kill(hung, 'SIGCONT');
    await untilState(deployment, 'a', 'JOIN', 'BACK');
    await untilRecords(traffic, 100);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);
