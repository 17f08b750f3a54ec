/** What the special scenarios share: which of them run, and what "stopped safely" looks like. */
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { CoordinatorStatus } from '../../coordinator/status.ts';
import type { Deployment } from '../../lab/deployment.ts';
import type { Traffic } from '../../lab/traffic.ts';
import { assertSilent, logsOnFailure, until } from '../system/faults.ts';
import { deploy, PATIENT, protectedPair, UNFIT, untilRecords } from '../system/scenario.ts';

/** Few echoes, so that those which pile up in a silence still fit into a frame that the observer captures whole. */
export const TRAFFIC = { recordsRate: 300, echoRate: 10 };

/** How often a state is looked at while it must last: about two seconds, longer than any pause between attempts. */
const LOOKS = 50;

/** For the scenarios that `npm test` always runs. */
export const scenario = UNFIT ? test.serial.skip : test.serial;

/** For those that take long: they run with CURLING_ALL_SCENARIOS=1, and are reported as skipped without it. */
export const longScenario =
  UNFIT || process.env.CURLING_ALL_SCENARIOS !== '1' ? test.serial.skip : test.serial;

/** The guest on host a, protected by host b and heard; removed when the test ends, with logs if it failed. */
export async function heardPair(t: ExecutionContext) {
  t.timeout(240_000);
  const deployment = await deploy(t);
  logsOnFailure(t, deployment);
  const traffic = await protectedPair(deployment, { traffic: TRAFFIC, flags: PATIENT });
  await untilRecords(traffic, 100);
  return { deployment, traffic };
}

/** Starts the coordinator of a host in the backup role, which may pair with `peers` once it runs the guest. */
export function startBackup(deployment: Deployment, host: string, ...peers: string[]) {
  return deployment.startCoordinator(host, { role: 'backup', peers, flags: PATIENT });
}

/** Starts everything anew on a host that was killed. */
export async function reviveHost(deployment: Deployment, host: string, ...peers: string[]) {
  await deployment.startProxy(host);
  await startBackup(deployment, host, ...peers);
}

/** Fails unless `host` stays in this state, says why, and nothing of the guest is heard outside. */
export async function assertStopped(
  t: ExecutionContext,
  deployment: Deployment,
  traffic: Traffic,
  { host, state, reason }: { host: string; state: string; reason: RegExp },
): Promise<CoordinatorStatus> {
  const what = `in ${state}, because ${reason}`;
  const status = await deployment.untilStatus(
    host,
    what,
    it => it.state === state && reason.test(it.reason),
    30_000,
  );
  let looks = 0;
  await assertSilent(t, traffic, LOOKS, async () => {
    const now = await deployment.status(host);
    t.is(now?.state, state);
    t.false(now?.running);
    return ++looks;
  });
  return status;
}

/** The hosts that run the guest by their own grant. */
export async function soloHosts(deployment: Deployment): Promise<string[]> {
  const names = deployment.lab.hosts.map(host => host.name);
  const states = await Promise.all(names.map(name => deployment.status(name)));
  return names.filter((_, index) => states[index]?.state === 'SOLO');
}

/** Takes the witness's store away, or puts it back; the witness is killed first and started again. */
export async function restartWitness(deployment: Deployment, move?: { from: string; to: string }) {
  const { witness } = deployment.lab;
  witness.kill();
  const file = (name: string) => join(witness.runDir, name);
  if (move) renameSync(file(move.from), file(move.to));
  await deployment.startWitness();
}

/** Waits until a coordinator's log has this code. */
export function untilLogged(deployment: Deployment, host: string, code: string): Promise<void> {
  const log = deployment.lab.host(host).logPath('coordinator');
  return until(`${code} in the log of ${host}`, () => readFileSync(log, 'utf8').includes(code));
}
