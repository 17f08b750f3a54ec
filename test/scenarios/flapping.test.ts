/** The replication link comes and goes: service goes on, or is back after each time, and at the end all is well. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../arbitration/sim/random.ts';
import { logsOnFailure, untilWhole } from '../system/faults.ts';
import { assertClean, deploy, protectedPair, untilRecords } from '../system/scenario.ts';
import { longScenario, soloHosts, TRAFFIC } from './scenario.ts';

const FLAPS = 50;
/** Of ten cuts one is longer than the detection. */
const LONG_EVERY = 10;
const DETECTION_MS = 600;

longScenario(
  'the replication link flaps fifty times, and there is one machine all the time (needs root, qemu)',
  async t => {
    t.timeout(300_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const flags = ['--detection', String(DETECTION_MS)];
    const traffic = await protectedPair(deployment, { traffic: TRAFFIC, flags });
    const random = new Random(Number(process.env.CURLING_SEED ?? 50));
    const host = () => random.pick(['a', 'b'] as const);
    for (let flap = 1; flap <= FLAPS; flap++) {
      const long = flap % LONG_EVERY === 0;
      const cut = host();
      await deployment.lab.cut(cut, 'replication');
      await sleep(long ? 2 * DETECTION_MS + random.below(500) : 20 + random.below(250));
      t.true((await soloHosts(deployment)).length <= 1, `flap ${flap}`);
      await deployment.lab.restore(cut, 'replication');
      await untilRecords(traffic, 5);
      await sleep(random.below(150));
    }
    const alone = await soloHosts(deployment);
    t.true(alone.length <= 1);
    const states = await Promise.all(['a', 'b'].map(name => deployment.status(name)));
    const primary = states[0]?.role === 'primary' ? 'a' : 'b';
    await untilWhole(deployment, traffic, primary);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);
