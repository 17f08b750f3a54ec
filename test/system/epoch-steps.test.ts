/**
 * The primary dies at each step of an epoch, and the outside sees one machine. Two hosts take turns: each is killed while
 * its coordinator stands still at the step, and comes back as the backup of the other one.
 */
import test from 'ava';
import { STOP_POINTS, type StopPoint } from '../../common/test-stop.ts';
import type { Deployment } from '../../lab/deployment.ts';
import { Traffic } from '../../lab/traffic.ts';
import { POINT_FACTS, POINTS } from '../faults/points.ts';
import {
  assertClean,
  deploy,
  PATIENT,
  UNFIT,
  untilRecords,
  untilStopped,
  untilSurvivor,
} from './scenario.ts';

/** Epochs that pass before the step at which the primary dies. */
const EPOCHS = 15;
/** The steps that the primary's coordinator passes in every epoch. */
const STEPS = STOP_POINTS.filter((_, index) => {
  const point = POINTS[index]!;
  return point.startsWith('E') && POINT_FACTS[point].at === 'primary';
});

async function startBackup(
  deployment: Deployment,
  host: string,
  peer: string,
  point: StopPoint | undefined,
): Promise<number> {
  const env = point ? { CURLING_TEST_STOP_AT: `${point}:${EPOCHS}` } : {};
  const child = await deployment.startCoordinator(host, {
    role: 'backup',
    peers: [peer],
    flags: PATIENT,
    env,
  });
  return child.pid!;
}

(UNFIT ? test.skip : test)(
  'output of an uncommitted epoch is never seen, at whichever step the primary dies (needs root, qemu)',
  async t => {
    const deployment = await deploy(t);
    t.timeout(280_000);
    const points: (StopPoint | undefined)[] = [...STEPS, undefined];
    await deployment.startGuest('a');
    const first = await deployment.startCoordinator('a', {
      role: 'primary',
      peers: ['b'],
      env: { CURLING_TEST_STOP_AT: `${points[0]}:${EPOCHS}` },
    });
    const pids: Record<string, number> = { a: first.pid! };
    const traffic = await Traffic.start(deployment.lab, { recordsRate: 400 });
    let primary = 'a';
    let backup = 'b';
    for (const [index, point] of STEPS.entries()) {
      pids[backup] = await startBackup(deployment, backup, primary, points[index + 1]);
      await untilStopped(pids[primary]!);
      deployment.lab.kill(primary);
      const status = await untilSurvivor(deployment, backup);
      t.is(status.failovers.at(-1)?.from, primary, `after ${point}`);
      await untilRecords(traffic, 50);
      await deployment.startProxy(primary);
      [primary, backup] = [backup, primary];
    }
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);
