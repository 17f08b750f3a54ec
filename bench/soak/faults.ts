/** The faults of a soak, drawn from a seed: each is made, waited out and healed, until the machine is protected again. */
import type { Deployment } from '../../lab/deployment.ts';
import { SOAK_FLAGS } from './settings.ts';

export const SOAK_FAULTS = [
  'kill-primary',
  'kill-backup',
  'cut-replication',
  'restart-witness',
] as const;
export type SoakFault = (typeof SOAK_FAULTS)[number];

const HEAL_MS_MAX = 120_000;

/**
 * Makes one fault and heals it; returns the host that runs the guest then, protected by the other one.
 * @throws CurlingError CURLING_TIMEOUT when it does not come to that
 */
export async function makeFault(
  deployment: Deployment,
  fault: SoakFault,
  primary: string,
): Promise<string> {
  const backup = primary === 'a' ? 'b' : 'a';
  switch (fault) {
    case 'kill-primary':
      deployment.lab.kill(primary);
      await deployment.untilStatus(backup, 'alone', ({ state }) => state === 'SOLO', HEAL_MS_MAX);
      await revive(deployment, primary, backup);
      return protectedOn(deployment, backup);
    case 'kill-backup':
      deployment.lab.kill(backup);
      await revive(deployment, backup, primary);
      return protectedOn(deployment, primary);
    case 'cut-replication':
      await deployment.lab.cut(primary, 'replication');
      await deployment.untilStatus(
        primary,
        'in another state',
        ({ state }) => state !== 'PROT',
        HEAL_MS_MAX,
      );
      await deployment.lab.restore(primary, 'replication');
      return protectedOn(deployment, primary, backup);
    case 'restart-witness':
      deployment.lab.witness.kill();
      await deployment.startWitness();
      return protectedOn(deployment, primary);
  }
}

async function revive(deployment: Deployment, host: string, peer: string): Promise<void> {
  await deployment.startProxy(host);
  await deployment.startCoordinator(host, { role: 'backup', peers: [peer], flags: SOAK_FLAGS });
}

/** The first of these hosts that is protected. */
async function protectedOn(deployment: Deployment, ...hosts: string[]): Promise<string> {
  return Promise.any(
    hosts.map(async host => {
      await deployment.untilProtected(host, HEAL_MS_MAX);
      return host;
    }),
  );
}
