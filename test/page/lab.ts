/** A pair in the lab whose status pages can be reached from the lab's client, where the browser is. */
import type { Deployment } from '../../lab/deployment.ts';
import { PATIENT } from '../system/scenario.ts';

const PORT = 7710;

/** The page of a host's coordinator, for the client. */
export function pageOf(deployment: Deployment, host: string): string {
  return `http://${deployment.lab.host(host).address}:${PORT}/`;
}

/** Starts the coordinator of a host with its page on the LAN. */
export function startShown(
  deployment: Deployment,
  host: string,
  role: 'primary' | 'backup',
  ...peers: string[]
) {
  const http = `${deployment.lab.host(host).address}:${PORT}`;
  return deployment.startCoordinator(host, { role, peers, flags: [...PATIENT, '--http', http] });
}

/** The guest on host a, protected by host b. */
export async function startPair(deployment: Deployment): Promise<void> {
  await deployment.startGuest('a');
  await startShown(deployment, 'a', 'primary', 'b');
  await startShown(deployment, 'b', 'backup', 'a');
  await deployment.untilProtected('a');
}
