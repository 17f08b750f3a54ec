/**
 * Single parts fail, one after the other, on hosts that live on; operators ask for what they may. After each fault the guest is
 * heard again, and at the end the observer has seen one machine.
 */
import test from 'ava';
import type { Deployment } from '../../lab/deployment.ts';
import { Traffic } from '../../lab/traffic.ts';
import {
  assertSilent,
  eventsOf,
  killPart,
  logsOnFailure,
  pidsOf,
  until,
  untilEvent,
  untilState,
  untilWhole,
} from './faults.ts';
import { assertClean, deploy, PATIENT, protectedPair, UNFIT, untilRecords } from './scenario.ts';

const qemu = UNFIT ? test.serial.skip : test.serial;
/** Few echoes, so that those which pile up in a silence still fit into a frame that the observer captures whole. */
const TRAFFIC = { recordsRate: 300, echoRate: 10 };

async function heldFrames(deployment: Deployment, host: string): Promise<number> {
  return (await deployment.status(host))?.proxy.heldFrames ?? 0;
}

function startBackup(deployment: Deployment, host: string, peer: string) {
  return deployment.startCoordinator(host, { role: 'backup', peers: [peer], flags: PATIENT });
}

qemu(
  'the backup, the proxy, the witness fail; the guest stays where it is (needs root, qemu)',
  async t => {
    t.timeout(240_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment, { traffic: TRAFFIC, flags: PATIENT });
    const log = stopwatch(t.log);
    const { incarnation } = await deployment.untilProtected('a');

    let from = deployment.events.length;
    const [orphan] = pidsOf(deployment, 'b', 'qemu');
    await killPart(deployment, 'b', 'coordinator');
    await untilState(deployment, 'a', 'SOLO');
    await untilEvent(deployment, 'a', 'PROTECTION_LOST', from);
    await untilRecords(traffic, 50);
    t.deepEqual(pidsOf(deployment, 'b', 'qemu'), [orphan!], 'its standby is an orphan');
    await startBackup(deployment, 'b', 'a');
    await untilWhole(deployment, traffic, 'a');
    t.false(pidsOf(deployment, 'b', 'qemu').includes(orphan!));
    log('the coordinator of the backup');

    from = deployment.events.length;
    const { generation } = await deployment.untilProtected('a');
    await killPart(deployment, 'a', 'proxy');
    await untilEvent(deployment, 'a', 'PROXY_LOST', from);
    const taken = async () => (await deployment.status('a'))?.epoch.taken ?? 0;
    // One epoch may be under way; the others come once a second.
    await assertSilent(t, traffic, 2, taken);
    await deployment.startProxy('a');
    const whole = await untilWhole(deployment, traffic, 'a');
    t.is(whole.generation, generation, 'still the same pair');
    t.is((await deployment.status('a'))!.proxy.state, 'hold');
    log('the proxy of the primary');

    from = deployment.events.length;
    deployment.lab.witness.kill();
    const before = await taken();
    await untilRecords(traffic, 200);
    await until('epochs without a witness', async () => (await taken()) > before + 10);
    t.true((await deployment.status('a'))!.protected);
    await killPart(deployment, 'b', 'coordinator');
    const names = await deployment.untilStatus(
      'a',
      'waiting for the witness',
      ({ state, reason }) => state === 'PRES' && /witness at 10\.77\.0\.9:7700/.test(reason),
    );
    t.false(names.protected);
    await assertSilent(t, traffic, 200, () => heldFrames(deployment, 'a'));
    t.false(eventsOf(deployment, 'a', from).includes('PROTECTION_LOST'));
    await deployment.startWitness();
    await untilState(deployment, 'a', 'SOLO');
    await untilEvent(deployment, 'a', 'PROTECTION_LOST', from);
    await untilRecords(traffic, 50);
    await startBackup(deployment, 'b', 'a');
    await untilWhole(deployment, traffic, 'a');
    log('the witness, then the backup');

    await deployment.tell('a', 'unprotect');
    await untilState(deployment, 'a', 'SOLO');
    await untilState(deployment, 'b', 'JOIN');
    await untilRecords(traffic, 300);
    t.is((await deployment.status('a'))!.state, 'SOLO', 'it stays unprotected');
    await deployment.tell('a', 'protect');
    await untilWhole(deployment, traffic, 'a');
    log('unprotect and protect');

    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await deployment.tell('a', 'unprotect');
      const solo = await untilState(deployment, 'a', 'SOLO');
      await endCoordinators(deployment, signal, 'a');
      await untilRecords(traffic, 100);
      await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags: PATIENT });
      const again = await untilState(deployment, 'a', 'SOLO', 'SYNC', 'SRES', 'PROT');
      t.is(again.incarnation, incarnation);
      t.true(again.generation >= solo.generation && again.generation <= solo.generation + 1);
      await untilWhole(deployment, traffic, 'a');
      log(`the coordinator of an unprotected primary, ${signal}`);
    }

    // The backup first: it must not miss the primary.
    await endCoordinators(deployment, 'SIGKILL', 'b', 'a');
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags: PATIENT });
    await untilState(deployment, 'a', 'SOLO');
    await untilRecords(traffic, 50);
    await startBackup(deployment, 'b', 'a');
    await untilWhole(deployment, traffic, 'a');
    log('both coordinators at once');

    t.is((await deployment.status('a'))!.incarnation, incarnation);
    t.deepEqual((await deployment.status('b'))!.failovers, []);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);

qemu(
  'the guest moves when its QEMU, coordinator or link fails, and when told to (needs root, qemu)',
  async t => {
    t.timeout(240_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment, { traffic: TRAFFIC, flags: PATIENT });
    const log = stopwatch(t.log);

    // With a proxy that came back: what it let out too early would be taken back now.
    await killPart(deployment, 'a', 'proxy');
    await deployment.startProxy('a');
    await untilRecords(traffic, 300);
    await killPart(deployment, 'a', 'qemu');
    const moved = await untilWhole(deployment, traffic, 'b');
    t.is(moved.failovers.length, 1);
    t.regex(moved.failovers[0]!.reason, /QEMU is gone/);
    t.is(moved.peer, 'a', 'the old primary is the new backup, by itself');
    log('the QEMU of the primary');

    await deployment.tell('b', 'failover');
    const back = await untilWhole(deployment, traffic, 'a');
    t.is(back.failovers.at(-1)?.from, 'b');
    t.is(back.peer, 'b');
    log('failover, told to the primary');

    await killPart(deployment, 'b', 'proxy');
    await deployment.tell('b', 'failover');
    const held = await untilState(deployment, 'b', 'SOLO');
    t.false(held.proxy.connected);
    await until(
      'a resumed guest',
      async () => (await deployment.status('b'))!.failovers.length === 2,
    );
    await untilState(deployment, 'a', 'JOIN');
    const seen = traffic.recordsSeen;
    await deployment.startProxy('b');
    await until('records again', () => traffic.recordsSeen > seen);
    t.is((await untilWhole(deployment, traffic, 'b')).peer, 'a');
    log('failover, told to the backup, whose proxy is dead');

    const [old] = pidsOf(deployment, 'b', 'qemu');
    await killPart(deployment, 'b', 'coordinator');
    await untilState(deployment, 'a', 'SOLO');
    await untilRecords(traffic, 200);
    t.deepEqual(pidsOf(deployment, 'b', 'qemu'), [old!], 'the old guest runs on, unheard');
    await startBackup(deployment, 'b', 'a');
    await untilWhole(deployment, traffic, 'a');
    t.false(pidsOf(deployment, 'b', 'qemu').includes(old!), 'it was ended');
    log('the coordinator of the primary');

    await deployment.lab.cut('a', 'replication');
    await until('a host that runs alone', async () => (await soloHosts(deployment)).length === 1);
    const [survivor] = (await soloHosts(deployment)) as [string];
    const other = survivor === 'a' ? 'b' : 'a';
    await untilState(deployment, other, 'JOIN');
    await untilRecords(traffic, 200);
    t.deepEqual(await soloHosts(deployment), [survivor]);
    await deployment.lab.restore('a', 'replication');
    t.is((await untilWhole(deployment, traffic, survivor)).peer, other);
    log(`the replication link; ${survivor} ran on`);

    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);

qemu(
  'of two backups one is taken, and the other one when that is gone (needs root, qemu)',
  async t => {
    const deployment = await deploy(t, { hosts: ['a', 'b', 'c'] });
    logsOnFailure(t, deployment);
    await deployment.startGuest('a');
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b', 'c'], flags: PATIENT });
    await deployment.startCoordinator('b', { role: 'backup', peers: ['a', 'c'], flags: PATIENT });
    await deployment.startCoordinator('c', { role: 'backup', peers: ['a', 'b'], flags: PATIENT });
    const traffic = await Traffic.start(deployment.lab, TRAFFIC);
    const { peer } = await untilWhole(deployment, traffic, 'a');
    const spare = peer === 'b' ? 'c' : 'b';
    t.is((await deployment.status(peer!))!.state, 'BACK');
    t.is((await deployment.status(spare))!.state, 'JOIN');
    deployment.lab.kill('a');
    const status = await untilWhole(deployment, traffic, peer!);
    t.is(status.peer, spare);
    t.is((await deployment.status(spare))!.state, 'BACK');
    await deployment.tell(peer!, 'failover');
    t.is((await untilWhole(deployment, traffic, spare)).peer, peer);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);

/** Ends the coordinators of these hosts with a signal, one right after the other, and waits until they are gone. */
async function endCoordinators(
  deployment: Deployment,
  signal: 'SIGTERM' | 'SIGKILL',
  ...hosts: string[]
): Promise<void> {
  const pids = hosts.map(host => pidsOf(deployment, host, 'coordinator'));
  for (const pid of pids.flat()) process.kill(pid, signal);
  const gone = () => hosts.every(host => pidsOf(deployment, host, 'coordinator').length === 0);
  await until(`the end of ${hosts} by ${signal}`, gone);
}

async function soloHosts(deployment: Deployment): Promise<string[]> {
  const names = deployment.lab.hosts.map(host => host.name);
  const states = await Promise.all(names.map(name => deployment.status(name)));
  return names.filter((_, index) => states[index]?.state === 'SOLO');
}

/** Logs how long each part of a test took. */
function stopwatch(log: (text: string) => void): (what: string) => void {
  let last = performance.now();
  return what => {
    const now = performance.now();
    log(`${((now - last) / 1000).toFixed(1)} s: ${what}`);
    last = now;
  };
}
