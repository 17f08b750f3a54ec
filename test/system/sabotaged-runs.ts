/** Runs of sabotaged programs with real guests, each so that its defect must show outside. */
import type { ExecutionContext } from 'ava';
import type { StopPoint } from '../../common/test-stop.ts';
import type { Sabotage } from '../../coordinator/sabotage.ts';
import { WITNESS_ADDRESS } from '../../lab/addresses.ts';
import type { Deployment } from '../../lab/deployment.ts';
import type { Verdict } from '../../lab/observer/oracle.ts';
import { Traffic } from '../../lab/traffic.ts';
import { killPart, untilState } from './faults.ts';
import {
  deploy,
  PATIENT,
  protectedPair,
  untilRecords,
  untilStopped,
  untilSurvivor,
} from './scenario.ts';

/** Runs the sabotaged program into its defect; returns what the observer says. */
export type SabotagedRun = (t: ExecutionContext, sabotage: Sabotage) => Promise<Verdict>;

/** Of a packet with an answer of the witness: about 270 bytes tell of a host alone, 340 of a pair. */
const SOLO_BYTES_MAX = 320;
const TRAFFIC = { recordsRate: 500 };

function envOf(sabotage: Sabotage): NodeJS.ProcessEnv {
  return { CURLING_TEST_SABOTAGE: sabotage };
}

/** Lets the guest speak for a while, and asks the observer. */
async function verdictOf(traffic: Traffic, records = 50): Promise<Verdict> {
  await untilRecords(traffic, records);
  return (await traffic.finish()).verdict;
}

/** The guest on host a, unprotected and heard, under a sabotaged coordinator. */
async function unprotected(t: ExecutionContext, env: NodeJS.ProcessEnv) {
  const deployment = await deploy(t);
  await deployment.startGuest('a');
  const options = { role: 'primary', peers: ['b'], flags: PATIENT, env } as const;
  const primary = await deployment.startCoordinator('a', options);
  const traffic = await Traffic.start(deployment.lab, TRAFFIC);
  // An epoch without a record in it could be repeated unseen.
  await untilRecords(traffic, 100);
  return { deployment, primary, traffic };
}

function startBackup(deployment: Deployment) {
  return deployment.startCoordinator('b', { role: 'backup', peers: ['a'], flags: PATIENT });
}

/** The host of a sabotaged primary dies exactly at a step of an epoch. */
export function killedAt(point: StopPoint, epoch = 150): SabotagedRun {
  return async (t, sabotage) => {
    const env = { ...envOf(sabotage), CURLING_TEST_STOP_AT: `${point}:${epoch}` };
    const { deployment, primary, traffic } = await unprotected(t, env);
    await startBackup(deployment);
    await untilStopped(primary.pid!);
    deployment.lab.kill('a');
    await untilSurvivor(deployment, 'b');
    return verdictOf(traffic);
  };
}

/** The host of the primary dies; its backup is sabotaged. */
export const killedBeside: SabotagedRun = async (t, sabotage) => {
  const deployment = await deploy(t);
  const backupEnv = envOf(sabotage);
  const traffic = await protectedPair(deployment, { backupEnv, traffic: TRAFFIC });
  await untilRecords(traffic, 500);
  deployment.lab.kill('a');
  await untilSurvivor(deployment, 'b');
  return verdictOf(traffic);
};

/** The link between the hosts breaks, and only one of them may run on. */
export function linkBroken(...sabotaged: ('a' | 'b')[]): SabotagedRun {
  return async (t, sabotage) => {
    const deployment = await deploy(t);
    const env = envOf(sabotage);
    const traffic = await protectedPair(deployment, {
      ...(sabotaged.includes('a') ? { primaryEnv: env } : {}),
      ...(sabotaged.includes('b') ? { backupEnv: env } : {}),
      traffic: TRAFFIC,
    });
    await untilRecords(traffic, 300);
    await deployment.lab.cut('a', 'replication');
    await untilSurvivor(deployment, 'b');
    return verdictOf(traffic, 300);
  };
}

/** The pair is registered and the primary does not hear of it; then the link to its backup breaks. */
export const pairInDoubt: SabotagedRun = async (t, sabotage) => {
  const { deployment, traffic } = await unprotected(t, envOf(sabotage));
  await startBackup(deployment);
  await untilState(deployment, 'b', 'JOIN');
  await losePairs(deployment, 'a');
  await untilState(deployment, 'a', 'SRES');
  await deployment.lab.cut('a', 'replication');
  await untilSurvivor(deployment, 'b');
  return verdictOf(traffic, 300);
};

/**
 * From now on the witness's answers about a pair do not reach this host, though the pair is registered: they are longer
 * than those about a host alone, which still pass. A connection that was silent as a whole would be given up too early.
 */
async function losePairs({ lab }: Deployment, host: string): Promise<void> {
  const rule = `ip saddr ${WITNESS_ADDRESS} ip daddr ${lab.host(host).address} ip length > ${SOLO_BYTES_MAX} drop`;
  const chain = `type filter hook egress device "${lab.lan.port(host)}" priority 0; ${rule};`;
  await lab.lan.run('nft', ['-f', '-'], {
    input: `table netdev deaf-${host} {\nchain answers { ${chain} }\n}\n`,
  });
}

/** The backup has taken over; then the witness restarts, and the old primary's coordinator beside its old guest. */
export const witnessRestarted: SabotagedRun = async (t, sabotage) => {
  const deployment = await deploy(t);
  const traffic = await protectedPair(deployment, { traffic: TRAFFIC });
  await untilRecords(traffic, 300);
  await killPart(deployment, 'a', 'coordinator');
  await untilSurvivor(deployment, 'b');
  await untilRecords(traffic, 300);
  deployment.lab.witness.kill();
  await deployment.startWitness(envOf(sabotage));
  await deployment.startCoordinator('a', { role: 'primary', flags: PATIENT });
  await untilState(deployment, 'a', 'SOLO');
  return verdictOf(traffic, 300);
};
