/** A deployment under traffic for the system tests: removed with its test, judged by the observer. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { Deployment, type DeploymentOptions } from '../../lab/deployment.ts';
import type { Verdict } from '../../lab/observer/oracle.ts';
import { Traffic, type TrafficOptions } from '../../lab/traffic.ts';

/** Why these tests are skipped; undefined when they can run. */
export const UNFIT = process.getuid?.() === 0 ? undefined : 'needs root, QEMU and namespaces';

/** These tests share two processors with two guests: a silence of 300 ms does not mean that a host is dead. */
export const PATIENT = ['--detection', '1500'];

/** A deployment that is removed when the test ends, also when it fails. */
export async function deploy(
  t: ExecutionContext,
  options: DeploymentOptions = {},
): Promise<Deployment> {
  const deployment = await Deployment.create(options);
  t.teardown(() => deployment.destroy());
  return deployment;
}

export interface PairOptions {
  primaryEnv?: NodeJS.ProcessEnv;
  backupEnv?: NodeJS.ProcessEnv;
  /** Further options of both coordinators. */
  flags?: readonly string[];
  traffic?: TrafficOptions;
}

/** Boots the guest on host a, protects it by host b, and starts traffic. */
export async function protectedPair(
  deployment: Deployment,
  options: PairOptions = {},
): Promise<Traffic> {
  const flags = options.flags ?? PATIENT;
  await deployment.startGuest('a');
  await deployment.startCoordinator('a', {
    role: 'primary',
    peers: ['b'],
    flags,
    env: options.primaryEnv ?? {},
  });
  await deployment.startCoordinator('b', {
    role: 'backup',
    peers: ['a'],
    flags,
    env: options.backupEnv ?? {},
  });
  await deployment.untilProtected('a');
  return Traffic.start(deployment.lab, options.traffic);
}

/** Waits until the coordinator of a host has stopped itself at its test point. */
export async function untilStopped(pid: number, timeoutMs = 30_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  const state = () =>
    / ([A-Z]) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8').split(')').at(-1)!)?.[1];
  while (state() !== 'T') {
    if (performance.now() > deadline)
      throw new Error(`process ${pid} did not come to its test point`);
    await sleep(5);
  }
}

/** Waits until `host` runs the guest alone. */
export function untilSurvivor(deployment: Deployment, host: string): Promise<CoordinatorStatus> {
  const holds = (status: CoordinatorStatus) =>
    status.state === 'SOLO' && status.failovers.length > 0;
  return deployment.untilStatus(host, 'running the guest alone', holds, 30_000);
}

/** Waits until the guest outside has said `more` further records. */
export async function untilRecords(traffic: Traffic, more: number): Promise<void> {
  const wanted = traffic.recordsSeen + more;
  const deadline = performance.now() + 30_000;
  while (traffic.recordsSeen < wanted) {
    if (performance.now() > deadline) throw new Error(`fewer than ${more} records came in 30 s`);
    await sleep(20);
  }
}

/** Fails the test unless the observer saw one machine, and enough of it. */
export function assertClean(t: ExecutionContext, verdict: Verdict): void {
  const { repeated, contradicted, uncommitted, connectionsLost, inconclusive, offences } = verdict;
  t.deepEqual(
    { repeated, contradicted, uncommitted, connectionsLost, inconclusive, offences },
    {
      repeated: 0,
      contradicted: 0,
      uncommitted: 0,
      connectionsLost: 0,
      inconclusive: [],
      offences: [],
    },
  );
  t.true(verdict.records.records > 100, `only ${verdict.records.records} records were seen`);
}
