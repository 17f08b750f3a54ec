/** Names and addresses of a lab. They are the same in every lab: each lab has namespaces of its own. */
import assert from 'node:assert/strict';

/** The LAN's 10.77.0.0/24 and the replication link's 10.78.0.0/24. */
export const LAN_PREFIX = '10.77.0';
export const REPLICATION_PREFIX = '10.78.0';
export const PREFIX_LENGTH = 24;

export const GUEST_ADDRESS = `${LAN_PREFIX}.2`;
/** Of the guest's card on tap `index`. */
export function guestMac(index: number): string {
  return `52:54:00:77:${index.toString(16).padStart(2, '0')}:02`;
}
export const GUEST_MAC = guestMac(0);
/** Of guest `index` on the LAN, where several have a tap each. */
export function guestAddress(index: number): string {
  assert(index >= 0 && index < TAPS_MAX);
  return `${LAN_PREFIX}.${2 + index}`;
}
/** Where a guest's second card and the client meet besides the LAN's own addresses, on the same wire. */
export const SECOND_PREFIX = '10.79.0';
export const SECOND_GUEST_ADDRESS = `${SECOND_PREFIX}.2`;
export const SECOND_CLIENT_ADDRESS = `${SECOND_PREFIX}.100`;
/** Of the LAN's bridge itself: what hosts ask whether anybody could hear them. */
export const GATEWAY_ADDRESS = `${LAN_PREFIX}.1`;
export const WITNESS_ADDRESS = `${LAN_PREFIX}.9`;
export const CLIENT_ADDRESS = `${LAN_PREFIX}.100`;

/** Interfaces inside a host's namespace. */
export const TAP = 'tap0';
/** Taps that a host can have. */
export const TAPS_MAX = 4;
/** The taps of a host: tap0, tap1, … */
export function tapNames(count: number): string[] {
  assert(count >= 1 && count <= TAPS_MAX);
  return Array.from({ length: count }, (_, index) => `tap${index}`);
}
export const BRIDGE = 'br0';
export const UPLINK = 'uplink0';
export const REPLICATION_INTERFACE = 'repl0';
/** The only interface of the client and of the witness. */
export const STATION_INTERFACE = 'eth0';

/** The two bridges in the `lan` namespace; without a dash, so that no host's port can have their names. */
export const LAN_BRIDGE = 'lanbridge';
export const REPLICATION_BRIDGE = 'replbridge';

/** Nodes that are not hosts; a host may not take one of these names. */
export const STATIONS = ['client', 'witness', 'lan'] as const;
export type Station = (typeof STATIONS)[number];

/** Hosts a lab can have: their addresses end in 11 to 19. */
export const HOSTS_MAX = 9;

/** The last number of a host's addresses: 11 for the first host, 12 for the second, … */
export function hostNumber(index: number): number {
  assert(index >= 0 && index < HOSTS_MAX);
  return 11 + index;
}

/** A stable MAC for a host's bridge, so that it does not follow whichever port has the lowest. */
export function bridgeMac(index: number): string {
  return `02:77:00:00:00:${hostNumber(index).toString(16).padStart(2, '0')}`;
}

/** The `lan` namespace's bridge port towards `node`: what came from that host enters here. At most 13 characters. */
export function lanPort(node: string): string {
  return `lan-${node}`;
}

/** The near end of a host's cable in the `lan` namespace; the lab pulls the cable here. */
export function cablePort(host: string): string {
  return `cable-${host}`;
}

/** The two-port bridge that is a host's cable. */
export function cableBridge(host: string): string {
  return `wire-${host}`;
}

/** The replication bridge's port towards a host. */
export function replicationPort(host: string): string {
  return `repl-${host}`;
}
