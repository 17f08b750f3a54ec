/** Whether a proxy can hold a tap: what inspectTap refuses, and what it would not see. Pure. */
import type { Link } from '../../proxy/links.ts';
import { type Finding, finding } from './finding.ts';

export interface TapFacts {
  name: string;
  /** Undefined: there is no such interface. */
  tap: Link | undefined;
  /** What the tap is a port of; undefined: of nothing. */
  master: Link | undefined;
  /** The bridge that its proxy is told, if any. */
  bridge: string | undefined;
  /** Whether the place of the proxy's filter on the ingress hook is another's. */
  ingressTaken: boolean;
  /** Interfaces that the host's own default routes leave by. */
  defaultRoutes: readonly string[];
  /** Addresses that the host has on the tap. */
  addresses: readonly string[];
}

export function judgeTap(facts: TapFacts): Finding[] {
  const { name, tap, master, defaultRoutes, addresses } = facts;
  const subject = `tap ${name}`;
  const must = (ok: boolean, found: string, todo: string) =>
    finding('must', subject, { ok, found, todo });
  if (!tap) {
    const todo = `make it: ip tuntap add ${name} mode tap; ip link set ${name} up`;
    return [must(false, 'there is no such interface', todo)];
  }
  const own = defaultRoutes.includes(name) || addresses.length > 0;
  if (own) {
    const found = `is the host's own way to the network${addresses.length > 0 ? ` (${addresses.join(', ')})` : ''}`;
    return [must(false, found, "name the guest's tap: held, the host would be cut off")];
  }
  return [kindFinding(tap, must), ...bridgeFindings(facts, tap, master, must)];
}

type Must = (ok: boolean, found: string, todo: string) => Finding;

function kindFinding(tap: Link, must: Must): Finding {
  const isTap = tap.kind === 'tun' && tap.info.type === 'tap';
  const kind = isTap ? 'a tap' : `a ${tap.kind || 'physical'} interface`;
  const todo =
    'give the guest a tap that is a port of a Linux bridge; macvtap has no bridge to hold at';
  return must(isTap || tap.kind === 'veth', kind, todo);
}

function bridgeFindings(
  facts: TapFacts,
  tap: Link,
  master: Link | undefined,
  must: Must,
): Finding[] {
  const { name } = tap;
  if (master?.kind !== 'bridge') {
    const found = master
      ? `is a port of ${master.name}, a ${master.kind}`
      : 'is a port of no bridge';
    return [must(false, found, `ip link set ${name} master BRIDGE; Open vSwitch is not supported`)];
  }
  const { bridge = master.name } = facts;
  const should = (ok: boolean, found: string, todo: string) =>
    finding('should', `tap ${name}`, { ok, found, todo });
  return [
    must(
      bridge === master.name,
      `is on ${master.name}`,
      `its proxy is told --bridge ${bridge}: change one of them`,
    ),
    must(master.flags.includes('UP'), upText(master), `ip link set ${master.name} up`),
    must(
      Number(master.info.vlan_filtering ?? 0) !== 1,
      Number(master.info.vlan_filtering ?? 0) === 1
        ? `${master.name} filters VLANs, which the proxy does not support`
        : `${master.name} does not filter VLANs`,
      'give the guests of a VLAN a bridge of their own',
    ),
    must(
      !facts.ingressTaken,
      facts.ingressTaken
        ? 'has a filter of another at preference 1'
        : "has room for the proxy's filter",
      `move that filter behind: tc filter show dev ${name} ingress`,
    ),
    should(tap.mtu === master.mtu, mtuText(tap, master), `ip link set ${name} mtu ${master.mtu}`),
    should(
      tap.flags.includes('UP'),
      tap.flags.includes('UP') ? 'is up' : 'is down',
      `ip link set ${name} up`,
    ),
    portFinding(tap, should),
  ];
}

function upText({ name, flags }: Link): string {
  return `${name} is ${flags.includes('UP') ? 'up' : 'down'}`;
}

function mtuText(tap: Link, master: Link): string {
  return tap.mtu === master.mtu
    ? `has the MTU of ${master.name}, ${tap.mtu}`
    : `has an MTU of ${tap.mtu}, ${master.name} one of ${master.mtu}`;
}

/** A tap that no QEMU has open has no carrier, and its port is disabled; that says nothing. */
function portFinding(tap: Link, should: Must): Finding {
  const state = String(tap.port.state ?? 'unknown');
  if (!tap.flags.includes('LOWER_UP')) return should(true, 'no QEMU has it open', '');
  const todo = 'wait for the spanning tree, or: ip link set BRIDGE type bridge forward_delay 0';
  return should(state === 'forwarding', `its port is ${state}`, todo);
}
