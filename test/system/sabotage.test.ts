/**
 * The observer can see: builds with one of the product's orderings broken on purpose are caught, every time. If one of
 * these tests fails, none of the clean verdicts of the other tests means anything.
 */
import test, { type ExecutionContext } from 'ava';
import type { StopPoint } from '../../common/test-stop.ts';
import type { Sabotage } from '../../coordinator/sabotage.ts';
import type { Verdict } from '../../lab/observer/oracle.ts';
import { Traffic } from '../../lab/traffic.ts';
import {
  deploy,
  PATIENT,
  protectedPair,
  UNFIT,
  untilRecords,
  untilStopped,
  untilSurvivor,
} from './scenario.ts';

const qemu = UNFIT ? test.serial.skip : test.serial;
const TRAFFIC = { recordsRate: 500 };

function offencesOf({ repeated, contradicted, uncommitted }: Verdict): number {
  return repeated + contradicted + uncommitted;
}

/** Kills a sabotaged primary exactly at a step of an epoch, and returns what the observer says. */
async function killedAt(t: ExecutionContext, sabotage: Sabotage, point: StopPoint) {
  const deployment = await deploy(t);
  await deployment.startGuest('a');
  const env = { CURLING_TEST_SABOTAGE: sabotage, CURLING_TEST_STOP_AT: `${point}:150` };
  const primary = await deployment.startCoordinator('a', {
    role: 'primary',
    peers: ['b'],
    flags: PATIENT,
    env,
  });
  const traffic = await Traffic.start(deployment.lab, TRAFFIC);
  // An epoch without a record in it could be repeated unseen.
  await untilRecords(traffic, 100);
  await deployment.startCoordinator('b', { role: 'backup', peers: ['a'], flags: PATIENT });
  await untilStopped(primary.pid!);
  deployment.lab.kill('a');
  await untilSurvivor(deployment, 'b');
  await untilRecords(traffic, 50);
  return (await traffic.finish()).verdict;
}

qemu('output released before the acknowledgement is caught (needs root, qemu)', async t => {
  t.true(offencesOf(await killedAt(t, 'release-before-ack', 'resumed')) > 0);
});

qemu('an epoch sealed after the guest has run on is caught (needs root, qemu)', async t => {
  t.true(offencesOf(await killedAt(t, 'seal-after-loaded', 'released')) > 0);
});

qemu('an acknowledgement before the commit is caught (needs root, qemu)', async t => {
  const deployment = await deploy(t);
  const env = { CURLING_TEST_SABOTAGE: 'ack-before-commit' };
  const traffic = await protectedPair(deployment, { backupEnv: env, traffic: TRAFFIC });
  await untilRecords(traffic, 500);
  deployment.lab.kill('a');
  await untilSurvivor(deployment, 'b');
  await untilRecords(traffic, 50);
  const { verdict } = await traffic.finish();
  t.true(offencesOf(verdict) > 0);
});

qemu('a promotion without the grant is caught (needs root, qemu)', async t => {
  const deployment = await deploy(t);
  const env = { CURLING_TEST_SABOTAGE: 'promote-without-grant' };
  const traffic = await protectedPair(deployment, { backupEnv: env, traffic: TRAFFIC });
  await untilRecords(traffic, 300);
  await deployment.lab.cut('a', 'replication');
  await untilSurvivor(deployment, 'b');
  await untilRecords(traffic, 300);
  const { verdict } = await traffic.finish();
  t.true(offencesOf(verdict) > 0);
});
