/** The witness is away, forgets, or dies again and again. It decides, so whoever needs a decision waits; nobody guesses. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Deployment } from '../../lab/deployment.ts';
import { Random } from '../arbitration/sim/random.ts';
import { killPart, until, untilState, untilWhole } from '../system/faults.ts';
import { assertClean, PATIENT, untilRecords, untilSurvivor } from '../system/scenario.ts';
import {
  assertStopped,
  heardPair,
  longScenario,
  restartWitness,
  reviveHost,
  scenario,
  startBackup,
  untilLogged,
} from './scenario.ts';

const MEMORY_LOST = /lost its memory.*Restore its store/;

scenario(
  'the witness is down when the primary dies: the backup waits for it (needs root, qemu)',
  async t => {
    const { deployment, traffic } = await heardPair(t);
    deployment.lab.witness.kill();
    await untilRecords(traffic, 100);
    deployment.lab.kill('a');
    const reason = /the witness at 10\.77\.0\.9:7700 did not answer/;
    await assertStopped(t, deployment, traffic, { host: 'b', state: 'FROZ', reason });
    await deployment.startWitness();
    await untilSurvivor(deployment, 'b');
    await untilRecords(traffic, 100);
    assertClean(t, (await traffic.finish()).verdict);
  },
);

longScenario(
  'a witness that lost its disk is refused until its store is restored (needs root, qemu)',
  async t => {
    const { deployment, traffic } = await heardPair(t);
    const before = (await deployment.status('a'))!.epoch.committed;
    await restartWitness(deployment, { from: 'store', to: 'store.saved' });
    for (const host of ['a', 'b']) {
      await untilLogged(deployment, host, 'CURLING_WITNESS_STORE');
      await deployment.untilStatus(host, 'told', ({ reason }) => MEMORY_LOST.test(reason));
    }
    await untilRecords(traffic, 200);
    const status = (await deployment.status('a'))!;
    t.true(status.protected && status.epoch.committed > before, 'what is protected goes on');

    deployment.lab.kill('a');
    const stopped = { host: 'b', state: 'FROZ', reason: MEMORY_LOST };
    await assertStopped(t, deployment, traffic, stopped);
    await restartWitness(deployment, { from: 'store.saved', to: 'store' });
    await untilSurvivor(deployment, 'b');
    await untilRecords(traffic, 100);
    assertClean(t, (await traffic.finish()).verdict);
  },
);

longScenario(
  'a store that is lost for good is replaced while the guest runs on (needs root, qemu)',
  async t => {
    const { deployment, traffic } = await heardPair(t);
    await restartWitness(deployment, { from: 'store', to: 'store.lost' });
    await untilLogged(deployment, 'a', 'CURLING_WITNESS_STORE');
    // As docs/operations.md says: first the backup ends, with its standby, then the primary's coordinator.
    deployment.lab.kill('b');
    await untilState(deployment, 'a', 'PRES');
    await killPart(deployment, 'a', 'coordinator');
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags: PATIENT });
    t.is((await untilState(deployment, 'a', 'SOLO')).generation, 1);
    await untilRecords(traffic, 100);
    await reviveHost(deployment, 'b', 'a');
    await untilWhole(deployment, traffic, 'a');
    assertClean(t, (await traffic.finish()).verdict);
  },
);

longScenario(
  'the witness is killed again and again while the guest moves about (needs root, qemu)',
  async t => {
    const { deployment, traffic } = await heardPair(t);
    const killing = killAgainAndAgain(deployment);
    try {
      await killPart(deployment, 'b', 'coordinator');
      await untilState(deployment, 'a', 'SOLO');
      await startInsistently(deployment, 'b', 'a');
      await untilWhole(deployment, traffic, 'a');
      await deployment.tell('a', 'failover');
      await untilWhole(deployment, traffic, 'b');
      await deployment.tell('b', 'unprotect');
      await untilState(deployment, 'b', 'SOLO');
      await deployment.tell('b', 'protect');
      await untilWhole(deployment, traffic, 'b');
      deployment.lab.kill('b');
      await untilSurvivor(deployment, 'a');
      await untilRecords(traffic, 100);
    } finally {
      t.log(`${await killing.end()} deaths of the witness`);
    }
    assertClean(t, (await traffic.finish()).verdict);
  },
);

/** Kills the witness and starts it again, at irregular times, until `end` is called; that says how often. */
function killAgainAndAgain(deployment: Deployment): { end(): Promise<number> } {
  const random = new Random(7);
  let over = false;
  let deaths = 0;
  const killing = (async () => {
    for (; !over || deaths < 5; deaths++) {
      await sleep(200 + random.below(1_500));
      await restartWitness(deployment);
    }
  })();
  return {
    end: async () => {
      over = true;
      await killing;
      return deaths;
    },
  };
}

/** A coordinator that starts while the witness is away ends at once; its operator starts it again. */
async function startInsistently(deployment: Deployment, host: string, peer: string): Promise<void> {
  await until(`a coordinator on ${host}`, async () => {
    await startBackup(deployment, host, peer).catch(() => {});
    // Its socket is served before it has asked the witness; its status comes afterwards.
    return (await deployment.status(host)) !== undefined;
  });
}
