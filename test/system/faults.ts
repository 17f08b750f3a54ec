/** What the tests of faults do to single processes of a deployment, and what they wait for afterwards. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import type { Deployment } from '../../lab/deployment.ts';
import { commandOf, type Part, partPids } from '../../lab/parts.ts';
import type { Traffic } from '../../lab/traffic.ts';
import { untilRecords } from './scenario.ts';

const WAIT_MS = 30_000;

export type { Part } from '../../lab/parts.ts';

/** The processes of a host that run this part. */
export function pidsOf(deployment: Deployment, host: string, part: Part): number[] {
  return partPids(deployment.lab.host(host), part);
}

/** Kills a part of a host, and nothing else, and waits until it is gone. */
export async function killPart(deployment: Deployment, host: string, part: Part): Promise<number> {
  const pids = pidsOf(deployment, host, part);
  if (pids.length !== 1) throw new Error(`${pids.length} of ${part} on ${host}`);
  const [pid] = pids as [number];
  process.kill(pid, 'SIGKILL');
  await until(`the end of ${part} on ${host}`, () => commandOf(pid).length < 2);
  return pid;
}

/** Polls until `holds`. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${WAIT_MS} ms: ${what}`);
    await sleep(20);
  }
}

export function untilState(
  deployment: Deployment,
  host: string,
  ...states: string[]
): Promise<CoordinatorStatus> {
  const holds = ({ state }: CoordinatorStatus) => states.includes(state);
  return deployment.untilStatus(host, `in ${states.join(' or ')}`, holds, WAIT_MS);
}

/** Waits until this host runs the guest, is protected, and is heard outside. */
export async function untilWhole(
  deployment: Deployment,
  traffic: Traffic,
  host: string,
): Promise<CoordinatorStatus> {
  const status = await deployment.untilProtected(host, WAIT_MS);
  await untilRecords(traffic, 50);
  return status;
}

/**
 * Fails unless the guest is silent outside while `progress` grows by `step`, which shows that it lives. What was on its way
 * at the beginning may arrive, and be told: the count is taken when there was as much progress already.
 */
export async function assertSilent(
  t: ExecutionContext,
  traffic: Traffic,
  step: number,
  progress: () => Promise<number>,
): Promise<void> {
  const begin = await progress();
  await until('a guest that lives', async () => (await progress()) >= begin + step);
  const seen = traffic.recordsSeen;
  await until('a guest that lives on', async () => (await progress()) >= begin + 2 * step);
  t.is(traffic.recordsSeen, seen, 'records came out');
}

/** Waits for an event of a host that is not among the first `from` events. */
export function untilEvent(
  deployment: Deployment,
  host: string,
  event: string,
  from: number,
): Promise<void> {
  return until(event, () => eventsOf(deployment, host, from).includes(event));
}

/** The names of the events that came from a host after the first `from` events. */
export function eventsOf(deployment: Deployment, host: string, from: number): string[] {
  return deployment.events
    .slice(from)
    .filter(event => event.host === host)
    .map(event => event.event);
}

/** Logs the last words of every coordinator when the test fails. To be called after `deploy`: it must run before the removal. */
export function logsOnFailure(t: ExecutionContext, deployment: Deployment): void {
  t.teardown(() => {
    if (t.passed) return;
    for (const host of deployment.lab.hosts) {
      const log = readFileSync(host.logPath('coordinator'), 'utf8').trimEnd().split('\n');
      t.log([`coordinator of ${host.name}:`, ...log.slice(-30)].join('\n'));
    }
  });
}
