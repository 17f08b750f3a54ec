/** The drill on a machine that is protected, loaded and watched: it says the truth, and the pair goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import { run } from '../../common/run.ts';
import type { DrillDone } from '../../coordinator/drill.ts';
import type { Deployment } from '../../lab/deployment.ts';
import { VM } from '../../lab/deployment.ts';
import { inRepository } from '../../lab/paths.ts';
import { procText } from '../../lab/processes.ts';
import { eventsOf, logsOnFailure, pidsOf, until, untilState } from './faults.ts';
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

/** The QEMUs of a drill on host b. */
function spares(deployment: Deployment): number[] {
  return pidsOf(deployment, 'b', 'qemu').filter(pid => /drill\.qmp/.test(procText(pid, 'cmdline')));
}

/** Asks host b for a drill, on a connection of its own with the patience of curlingctl. */
async function drill(deployment: Deployment): Promise<DrillDone> {
  const client = await QmpClient.connect(deployment.coordinatorPath('b'));
  try {
    return (await client.execute('drill', { vm: VM }, { timeoutMs: 30_000 })) as DrillDone;
  } finally {
    client.close();
  }
}

/** What curlingctl prints; rejects with what it says when its status is not 0. */
function curlingctl(deployment: Deployment, host: string, command: string): Promise<string> {
  const socket = deployment.coordinatorPath(host);
  const args = [inRepository('build/ctl/main.js'), command, '--socket', socket];
  return run(process.execPath, args, { timeoutMs: 40_000 });
}

qemu(
  'drills beside a standby say yes, and neither pair nor outside notice more than a delay (needs root, qemu)',
  async t => {
    t.timeout(120_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment, { traffic: { dirtyRate: 2_000 } });
    await untilRecords(traffic, 200);
    const before = (await deployment.status('a'))!;
    const [standby] = pidsOf(deployment, 'b', 'qemu');
    const from = deployment.events.length;
    const instants: { name: string; atMs: number }[] = [];
    for (let n = 0; n < 5; n++) {
      instants.push({ name: `drill ${n}`, atMs: Date.now() });
      const done = await drill(deployment);
      t.true(done.loaded);
      t.true(done.delayMsMax <= done.loadMs, 'what came after the load began waits until its end');
      t.log(JSON.stringify(done));
      t.deepEqual(spares(deployment), [], 'thrown away');
    }
    await untilRecords(traffic, 200);
    t.deepEqual(eventsOf(deployment, 'b', from), Array(5).fill('DRILL_DONE'));
    t.deepEqual(eventsOf(deployment, 'a', from), []);
    const after = (await deployment.status('a'))!;
    t.is(after.state, 'PROT');
    t.is(after.since, before.since);
    t.deepEqual(pidsOf(deployment, 'b', 'qemu'), [standby]);
    const backup = (await deployment.status('b'))!;
    t.true(backup.drill!.ok);
    t.true(backup.drill!.epoch! > before.epoch.committed);
    t.regex(
      await curlingctl(deployment, 'b', 'drill'),
      /^demo: checkpoint \d+ loads on b,.*went on/s,
    );
    t.regex(await curlingctl(deployment, 'b', 'status'), /^ {2}drill +\S+Z went well: checkpoint/m);
    const elsewhere = { message: /CURLING_STATE: .*ask its backup, b$/m };
    await t.throwsAsync(curlingctl(deployment, 'a', 'drill'), elsewhere);

    // A standby that dies is replaced, and the operators of both hosts hear of it.
    const died = deployment.events.length;
    process.kill(standby!, 'SIGKILL');
    for (const host of ['a', 'b'])
      await until(`${host} tells of the new standby`, async () =>
        eventsOf(deployment, host, died).includes('STANDBY_READY'),
      );
    for (const host of ['a', 'b'])
      t.deepEqual(eventsOf(deployment, host, died), ['STANDBY_LOST', 'STANDBY_READY'], host);
    const told = deployment.events.slice(died).find(({ host }) => host === 'a')!.data;
    t.is(told.backup, 'b');
    t.regex(String(told.reason), /the standby QEMU ended: .*SIGKILL/);
    t.deepEqual((await deployment.status('a'))!.standby, { up: true, reason: null });
    t.is((await deployment.status('a'))!.since, before.since, 'the pair goes on');

    // The copy is whole, and so is the standby.
    await deployment.tell('b', 'failover');
    await untilSurvivor(deployment, 'b');
    await untilRecords(traffic, 100);
    const { verdict } = await traffic.finish(instants);
    assertClean(t, verdict);
    t.log(JSON.stringify(verdict.gaps));
  },
);

qemu(
  'a drill on a state that cannot be loaded quotes QEMU, and the pair goes on (needs root, qemu)',
  async t => {
    t.timeout(120_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    await deployment.startGuest('a');
    await deployment.startCoordinator('b', {
      role: 'backup',
      flags: [...PATIENT, '--no-trial-load'],
      // The guest's driver uses this feature of its card; no description shows it.
      standbyWords: ['-global', 'virtio-net-device.ctrl_vq=off'],
    });
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags: PATIENT });
    const before = await deployment.untilProtected('a');
    const words = /state of the guest cannot be loaded here: .*load of migration failed/s;
    await t.throwsAsync(drill(deployment), { code: 'CURLING_QEMU_RESUME', message: words });
    const { drill: said, state } = (await deployment.status('b'))!;
    t.is(state, 'BACK');
    t.false(said!.ok);
    t.is(said!.code, 'CURLING_QEMU_RESUME');
    t.regex(said!.reason, words);
    const later = await deployment.untilStatus(
      'a',
      'checkpointed on',
      ({ epoch }) => epoch.committed > said!.epoch! + 5,
    );
    t.is(later.since, before.since);
    t.true(eventsOf(deployment, 'b', 0).includes('DRILL_FAILED'));
    t.deepEqual(spares(deployment), []);
  },
);

qemu(
  'a primary that dies during a drill is taken over from at once (needs root, qemu)',
  async t => {
    t.timeout(120_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment);
    await untilRecords(traffic, 100);
    const ended = t.throwsAsync(drill(deployment), {
      code: 'CURLING_DRILL',
      message: /the drill was ended: (this host takes over|the connection to the primary ended)/,
    });
    await until('the drill', () => spares(deployment).length > 0);
    const [spare] = spares(deployment) as [number];
    // So that it is still there, whatever comes.
    process.kill(spare, 'SIGSTOP');
    t.teardown(() => {
      if (spares(deployment).includes(spare)) process.kill(spare, 'SIGKILL');
    });
    await sleep(200);
    deployment.lab.kill('a');
    const survivor = await untilSurvivor(deployment, 'b');
    t.log(JSON.stringify(survivor.failovers));
    await ended;
    t.deepEqual(spares(deployment), []);
    await untilRecords(traffic, 100);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
    await untilState(deployment, 'b', 'SOLO');
  },
);
