/** Pulls cables: silent partitions of one host, made in the `lan` namespace where the host cannot see them. */
import {
  CLIENT_ADDRESS,
  cablePort,
  lanPort,
  replicationPort,
  WITNESS_ADDRESS,
} from './addresses.ts';
import type { LabHost, LanNode } from './node.ts';

/**
 * What can be cut: the host's LAN cable, its replication cable, or only the IP packets between the host itself and the
 * witness or the client (the guest's and everybody else's still pass).
 */
export const LINKS = ['lan', 'replication', 'witness', 'client'] as const;
export type Link = (typeof LINKS)[number];
/** Cables that can let frames through in one direction alone. */
export type Cable = 'lan' | 'replication';
/** As seen from the host: what it says, what it hears. */
export type Direction = 'out' | 'in';

/** Bridge port states of linux/if_bridge.h. A disabled port drops both ways and stays up, with its carrier. */
const PORT_STATE = { disabled: '0', forwarding: '3' } as const;

/** Cuts a link both ways. No socket is closed, no carrier is lost, sends succeed. May be repeated. */
export async function cutLink(lan: LanNode, host: LabHost, link: Link): Promise<void> {
  if (link === 'lan' || link === 'replication') return setPort(lan, portOf(host, link), 'disabled');
  await lan.run('nft', ['-f', '-'], { input: dropRules(host, link) });
}

/** Cuts a cable in one direction; the other one goes on. As silent as cutLink; restoreLink joins it again. */
export async function cutOneWay(
  lan: LanNode,
  host: LabHost,
  cable: Cable,
  direction: Direction,
): Promise<void> {
  // What comes in at the port towards the host is what the host says.
  const hook = direction === 'out' ? 'ingress' : 'egress';
  const chain = `chain one-way { type filter hook ${hook} device "${portOf(host, cable)}" priority 0; drop; }`;
  const table = `${dropTable(host, cable)}table netdev ${cable}-${host.name} { ${chain}\n }\n`;
  await lan.run('nft', ['-f', '-'], { input: table });
}

/** Joins what cutLink or cutOneWay cut. May be repeated, and on a link that was never cut. */
export async function restoreLink(lan: LanNode, host: LabHost, link: Link): Promise<void> {
  if (link === 'lan' || link === 'replication')
    await setPort(lan, portOf(host, link), 'forwarding');
  await lan.run('nft', ['-f', '-'], { input: dropTable(host, link) });
}

/** The near end of a cable in the `lan` namespace. */
function portOf(host: LabHost, cable: Cable): string {
  return cable === 'lan' ? cablePort(host.name) : replicationPort(host.name);
}

async function setPort(lan: LanNode, port: string, state: keyof typeof PORT_STATE): Promise<void> {
  await lan.run('bridge', ['link', 'set', 'dev', port, 'state', PORT_STATE[state]]);
}

/** Makes the table if need be, then deletes it, in one transaction: no error either way. */
function dropTable(host: LabHost, link: Link): string {
  const table = `netdev ${link}-${host.name}`;
  return `add table ${table}\ndelete table ${table}\n`;
}

function dropRules(host: LabHost, link: 'witness' | 'client'): string {
  const far = link === 'witness' ? WITNESS_ADDRESS : CLIENT_ADDRESS;
  const chain = (name: string, hook: string, rule: string) =>
    `chain ${name} { type filter hook ${hook} device "${lanPort(host.name)}" priority 0; ${rule} drop; }`;
  return `${dropTable(host, link)}table netdev ${link}-${host.name} {
  ${chain('from-host', 'ingress', `ip saddr ${host.address} ip daddr ${far}`)}
  ${chain('to-host', 'egress', `ip saddr ${far} ip daddr ${host.address}`)}
}
`;
}
