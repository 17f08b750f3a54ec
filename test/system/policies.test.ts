/** What hosts do without a gateway, and without a backup under policy `hold`. */
import test from 'ava';
import { GATEWAY_ADDRESS, LAN_BRIDGE, PREFIX_LENGTH } from '../../lab/addresses.ts';
import type { Deployment } from '../../lab/deployment.ts';
import {
  assertSilent,
  eventsOf,
  killPart,
  logsOnFailure,
  untilEvent,
  untilState,
  untilWhole,
} from './faults.ts';
import { assertClean, deploy, PATIENT, protectedPair, UNFIT, untilRecords } from './scenario.ts';

const qemu = UNFIT ? test.serial.skip : test.serial;
/** Few echoes, so that those which pile up in a silence still fit into a frame that the observer captures whole. */
const TRAFFIC = { recordsRate: 300, echoRate: 10 };
const NOTHING_ASKED = /gateway 10\.77\.0\.1 does not answer.*; nothing is asked for/;

async function gateway(deployment: Deployment, what: 'add' | 'del'): Promise<void> {
  const address = `${GATEWAY_ADDRESS}/${PREFIX_LENGTH}`;
  await deployment.lab.lan.run('ip', ['address', what, address, 'dev', LAN_BRIDGE]);
}

function untilAsksNothing(deployment: Deployment, host: string) {
  return deployment.untilStatus(host, 'without a gateway', ({ state, reason }) => {
    return state === 'FROZ' && NOTHING_ASKED.test(reason);
  });
}

qemu(
  'a backup that reaches no gateway asks for nothing, and the primary runs on (needs root, qemu)',
  async t => {
    t.timeout(240_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment, { traffic: TRAFFIC, flags: PATIENT });
    const before = await deployment.untilProtected('a');
    t.true(before.gateway?.reachable);
    t.is(before.unprotected, null);

    await deployment.lab.cut('b', 'lan');
    await untilEvent(deployment, 'b', 'GATEWAY_LOST', 0);
    await untilRecords(traffic, 50);
    await deployment.lab.cut('b', 'replication');
    await untilAsksNothing(deployment, 'b');
    const alone = await untilState(deployment, 'a', 'SOLO');
    t.regex(alone.unprotected?.why ?? '', /lost its backup b: .*silent/);
    await untilRecords(traffic, 200);
    t.is((await deployment.status('b'))!.state, 'FROZ');
    await deployment.lab.restore('b', 'lan');
    await untilState(deployment, 'b', 'JOIN');
    t.true(eventsOf(deployment, 'b', 0).includes('GATEWAY_BACK'));
    await deployment.lab.restore('b', 'replication');
    t.is((await untilWhole(deployment, traffic, 'a')).unprotected, null);
    t.is((await deployment.status('b'))!.failovers.length, 0);

    // The witness can be reached, so the gateway alone keeps the backup from asking.
    const lost = deployment.events.length;
    await gateway(deployment, 'del');
    await untilEvent(deployment, 'b', 'GATEWAY_LOST', lost);
    deployment.lab.kill('a');
    await untilAsksNothing(deployment, 'b');
    await gateway(deployment, 'add');
    await deployment.untilStatus(
      'b',
      'running',
      ({ state, running }) => state === 'SOLO' && running,
    );
    await untilRecords(traffic, 50);
    t.notRegex((await deployment.status('b'))!.reason, NOTHING_ASKED);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);

qemu(
  'under hold the guest is silent without a backup, and its words come with the next (needs root, qemu)',
  async t => {
    t.timeout(240_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const flags = [...PATIENT, '--on-backup-loss', 'hold'];
    const traffic = await protectedPair(deployment, { traffic: TRAFFIC, flags });
    const held = async () => (await deployment.status('a'))?.proxy.heldFrames ?? 0;
    const startBackup = () =>
      deployment.startCoordinator('b', { role: 'backup', peers: ['a'], flags });
    const from = deployment.events.length;

    await killPart(deployment, 'b', 'coordinator');
    const alone = await untilState(deployment, 'a', 'SOLO');
    await untilEvent(deployment, 'a', 'OUTPUT_HELD', from);
    t.true(alone.held);
    t.is(alone.proxy.state, 'hold');
    await assertSilent(t, traffic, 300, held);
    t.false(eventsOf(deployment, 'a', from).includes('PROTECTION_LOST'));
    await startBackup();
    t.false((await untilWhole(deployment, traffic, 'a')).held);

    await killPart(deployment, 'b', 'coordinator');
    await untilState(deployment, 'a', 'SOLO');
    await deployment.tell('a', 'unprotect');
    await deployment.untilStatus('a', 'open', status => status.proxy.state === 'bypass');
    await untilRecords(traffic, 100);
    t.false((await deployment.status('a'))!.held);
    await startBackup();
    await deployment.tell('a', 'protect');
    await untilWhole(deployment, traffic, 'a');

    deployment.lab.kill('a');
    const taken = await deployment.untilStatus('b', 'resumed', status => status.running);
    t.true(taken.held);
    await deployment.tell('b', 'unprotect');
    await untilRecords(traffic, 100);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);
