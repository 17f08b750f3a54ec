/**
 * What a lab consists of, as text for `ip -batch`: pure, so that the picture below can be tested without root.
 *
 * ```
 *  host a                      lan                                              client
 *  tap0 ─┐
 *       br0 ── uplink0 ─────── cable-a │wire-a│ far-a ── lan-a │lanbridge│ lan-client ── eth0
 *         repl0 ────────────── repl-a │replbridge│                       │ lan-witness ── eth0  witness
 * ```
 *
 * A host's LAN cable is a bridge of two ports that learns nothing. To pull the cable, the lab disables the port
 * `cable-a`: nothing passes either way, the host keeps its carrier, its sends succeed, and who captures on `lan-a`
 * sees only what really reached the LAN. (Taking the far end of a veth down would take the host's carrier away; a drop
 * rule on `lan-a` would act after the capture there.)
 */
import assert from 'node:assert/strict';
import { CurlingError } from '../common/errors.ts';
import * as net from './addresses.ts';

/** The work of one namespace: addresses and bridges, set from inside it. */
export interface NodePlan {
  node: string;
  namespace: string;
  /** Lines for `ip -batch`. */
  batch: string[];
}

export interface LabPlan {
  namespaces: string[];
  /** Lines for `ip -batch` in the calling namespace: namespaces and the veth pairs between them. */
  links: string[];
  nodes: NodePlan[];
}

/** Interface numbers of the veth ends in nodes and in `lan`, plus the number of the pair. */
const NEAR_INDEX = 1000;
const FAR_INDEX = 2000;

const HOST_NAME = /^[a-z0-9]{1,8}$/;
/** No spanning tree, no delay, no multicast snooping: a frame passes as soon as the port is up. */
const BRIDGE = 'type bridge stp_state 0 forward_delay 0 mcast_snooping 0';

/** The namespace of one node; every name of a lab begins with the lab's own. */
export function namespaceOf(lab: string, node: string): string {
  return `${lab}-${node}`;
}

/**
 * Checks the hosts' names: 1 to 9 different names of 1 to 8 letters or digits (interface names hold 15 characters).
 * @throws CurlingError CURLING_USAGE
 */
export function checkHosts(hosts: readonly string[]): void {
  const wrong = hosts.find(
    host => !HOST_NAME.test(host) || (net.STATIONS as readonly string[]).includes(host),
  );
  if (wrong !== undefined || hosts.length < 1 || hosts.length > net.HOSTS_MAX) {
    const rule = `expected 1 to ${net.HOSTS_MAX} names of 1 to 8 of a-z and 0-9`;
    throw new CurlingError('CURLING_USAGE', `lab hosts: ${rule}, got ${JSON.stringify(hosts)}`);
  }
  if (new Set(hosts).size !== hosts.length)
    throw new CurlingError('CURLING_USAGE', `lab hosts: ${hosts.join(', ')} has a name twice`);
}

/** The whole lab `name` with these hosts, and for each guest this many taps. */
export function planLab(name: string, hosts: readonly string[], taps = 1): LabPlan {
  checkHosts(hosts);
  const namespaces = [...hosts, ...net.STATIONS].map(node => namespaceOf(name, node));
  const links = namespaces.map(namespace => `netns add ${namespace}`);
  for (const [index, host] of hosts.entries()) {
    const [lan, replication] = [net.cablePort(host), net.replicationPort(host)];
    links.push(pair(name, host, net.UPLINK, lan, 2 * index));
    links.push(pair(name, host, net.REPLICATION_INTERFACE, replication, 2 * index + 1));
  }
  for (const [index, station] of ['client', 'witness'].entries()) {
    const number = 2 * net.HOSTS_MAX + index;
    links.push(pair(name, station, net.STATION_INTERFACE, net.lanPort(station), number));
  }
  const nodes = [
    ...hosts.map((host, index) => hostPlan(name, host, index, net.tapNames(taps))),
    stationPlan(
      name,
      'client',
      net.CLIENT_ADDRESS,
      ...(taps > 1 ? [net.SECOND_CLIENT_ADDRESS] : []),
    ),
    stationPlan(name, 'witness', net.WITNESS_ADDRESS),
    { node: 'lan', namespace: namespaceOf(name, 'lan'), batch: lanBatch(hosts) },
  ];
  assert.equal(nodes.length, namespaces.length);
  return { namespaces, links, nodes };
}

/**
 * A veth pair from a node to `lan`. Its ends get interface numbers of their own: the kernel tells a bridge at once about
 * the carrier of a veth, but up to a second late when both ends happen to have the same number in their namespaces.
 */
function pair(lab: string, node: string, inside: string, port: string, number: number): string {
  const near = `name ${inside} index ${NEAR_INDEX + number} netns ${namespaceOf(lab, node)}`;
  const far = `name ${port} index ${FAR_INDEX + number} netns ${namespaceOf(lab, 'lan')}`;
  return `link add ${near} type veth peer ${far}`;
}

function up(...devices: string[]): string[] {
  return devices.map(device => `link set dev ${device} up`);
}

function hostPlan(lab: string, host: string, index: number, taps: readonly string[]): NodePlan {
  const number = net.hostNumber(index);
  const batch = [
    `link add name ${net.BRIDGE} address ${net.bridgeMac(index)} ${BRIDGE}`,
    ...taps.flatMap(tap => [
      `tuntap add dev ${tap} mode tap vnet_hdr`,
      `link set dev ${tap} master ${net.BRIDGE}`,
    ]),
    `link set dev ${net.UPLINK} master ${net.BRIDGE}`,
    `address add ${net.LAN_PREFIX}.${number}/${net.PREFIX_LENGTH} dev ${net.BRIDGE}`,
    `address add ${net.REPLICATION_PREFIX}.${number}/${net.PREFIX_LENGTH} dev ${net.REPLICATION_INTERFACE}`,
    ...up('lo', ...taps, net.UPLINK, net.BRIDGE, net.REPLICATION_INTERFACE),
  ];
  return { node: host, namespace: namespaceOf(lab, host), batch };
}

function stationPlan(lab: string, station: string, ...addresses: string[]): NodePlan {
  const batch = [
    ...addresses.map(
      address => `address add ${address}/${net.PREFIX_LENGTH} dev ${net.STATION_INTERFACE}`,
    ),
    ...up('lo', net.STATION_INTERFACE),
  ];
  return { node: station, namespace: namespaceOf(lab, station), batch };
}

function lanBatch(hosts: readonly string[]): string[] {
  const batch = [
    `link add name ${net.LAN_BRIDGE} ${BRIDGE}`,
    `link add name ${net.REPLICATION_BRIDGE} ${BRIDGE}`,
  ];
  for (const host of hosts) {
    const [near, far] = [net.cablePort(host), `far-${host}`];
    batch.push(
      `link add name ${net.cableBridge(host)} ${BRIDGE}`,
      `link add name ${far} type veth peer name ${net.lanPort(host)}`,
      `link set dev ${near} master ${net.cableBridge(host)}`,
      `link set dev ${far} master ${net.cableBridge(host)}`,
      `link set dev ${near} type bridge_slave learning off`,
      `link set dev ${far} type bridge_slave learning off`,
      `link set dev ${net.lanPort(host)} master ${net.LAN_BRIDGE}`,
      `link set dev ${net.replicationPort(host)} master ${net.REPLICATION_BRIDGE}`,
      ...up(near, far, net.cableBridge(host), net.lanPort(host), net.replicationPort(host)),
    );
  }
  for (const station of ['client', 'witness']) {
    batch.push(`link set dev ${net.lanPort(station)} master ${net.LAN_BRIDGE}`);
    batch.push(...up(net.lanPort(station)));
  }
  batch.push(`address add ${net.GATEWAY_ADDRESS}/${net.PREFIX_LENGTH} dev ${net.LAN_BRIDGE}`);
  return [...batch, ...up('lo', net.LAN_BRIDGE, net.REPLICATION_BRIDGE)];
}
