/**
 * Whether a tap may be prepared for the proxy, and what a shell must know to do it. Pure: `curling-install` makes the
 * changes.
 *
 * Preparing a tap means that it exists, is a port of a bridge and is up. The proxy does all the rest when it starts, and
 * takes it back itself.
 */
import { CurlingError } from '../common/errors.ts';
import {
  checkBridge,
  checkIngress,
  checkKind,
  foundState,
  PORT_MAC_PREFIX,
  portName,
} from './bridge.ts';
import type { Link } from './links.ts';
import type { Surroundings } from './surroundings.ts';

/** Links that stand on another one. A veth names its other end in the same place. */
const STANDS_ON: readonly string[] = ['vlan', 'macvlan', 'macvtap', 'ipvlan', 'macsec'];
const NOT_OPEN_VSWITCH =
  'Open vSwitch is not supported: the proxy needs a port of a Linux bridge, where it can close the tap';

/**
 * Refuses what the proxy cannot serve, and what would cut this host's own link.
 * @param tap Its name; a tap that does not exist may be made.
 * @param bridge The bridge that is asked for, by default the one that the tap is on.
 * @throws CurlingError CURLING_USAGE, CURLING_HOST_LINK, CURLING_TAP_UNSUPPORTED, CURLING_TAP_NOT_ON_BRIDGE, CURLING_BUSY.
 */
export function checkPreparation(tap: string, bridge: string | undefined, now: Surroundings): void {
  const link = linkOf(now, tap);
  if (link) {
    checkTap(link, now);
    checkOwnLink(link, now);
  }
  const name = bridge ?? link?.master;
  if (name === undefined) {
    const text = `--bridge: required, because ${link ? `${tap} is on no bridge` : `there is no ${tap} yet`}`;
    throw new CurlingError('CURLING_USAGE', text);
  }
  checkMaster(name, now);
  if (!link) return checkPortName(`cp-${tap}`, undefined, now);
  if (link.master !== undefined && link.master !== name) {
    const text = `${tap} is a port of ${link.master}, not of ${name}; it is not taken away from there`;
    throw new CurlingError('CURLING_TAP_NOT_ON_BRIDGE', text);
  }
  if (link.master === name) checkWayOut(link, name, now);
  checkPortName(portName(link), name, now);
  checkIngress(link, now.ingress);
}

function linkOf(now: Surroundings, name: string | undefined): Link | undefined {
  return now.links.find(link => link.name === name);
}

function unsupported(text: string): CurlingError {
  return new CurlingError('CURLING_TAP_UNSUPPORTED', text);
}

function hostLink(text: string): CurlingError {
  return new CurlingError('CURLING_HOST_LINK', text);
}

function checkTap(tap: Link, now: Surroundings): void {
  if (tap.kind === '')
    throw hostLink(`${tap.name} is an interface of this host itself, no tap of a guest`);
  if (tap.kind === 'macvtap') {
    const text = `${tap.name} is a macvtap: its frames pass no bridge, so the proxy cannot hold them; give the guest a tap`;
    throw unsupported(text);
  }
  const master = linkOf(now, tap.master);
  if ([tap.kind, tap.portKind, master?.kind].includes('openvswitch'))
    throw unsupported(`${tap.name}: ${NOT_OPEN_VSWITCH}`);
  if (tap.kind === 'tun' && tap.info.type !== 'tap')
    throw unsupported(`${tap.name} is a tun interface, which carries no Ethernet frames`);
  checkKind(tap);
  if (!tap.mac.startsWith(PORT_MAC_PREFIX)) return;
  throw unsupported(`${tap.name} is the proxy's own port beside a tap; name the guest's tap`);
}

/** What the proxy serves is closed to this host while it holds. */
function checkOwnLink(tap: Link, now: Surroundings): void {
  if (now.routes.some(route => chain(route.link, now).includes(tap.name)))
    throw hostLink(`${tap.name} carries this host's default route`);
  if (now.addresses.length === 0) return;
  const text = `${tap.name} has addresses of this host (${now.addresses.join(', ')}), which it would lose`;
  throw hostLink(text);
}

/** A link and those below it. */
function chain(name: string, now: Surroundings): string[] {
  const names: string[] = [];
  for (let next: string | undefined = name; next !== undefined && !names.includes(next); ) {
    names.push(next);
    const link = linkOf(now, next);
    next = link && STANDS_ON.includes(link.kind) ? link.lower : undefined;
  }
  return names;
}

function checkMaster(name: string, now: Surroundings): void {
  const bridge = linkOf(now, name);
  if (!bridge)
    throw new CurlingError(
      'CURLING_TAP_NOT_ON_BRIDGE',
      `there is no bridge ${name}; make it first`,
    );
  if (bridge.kind === 'openvswitch') throw unsupported(`${name}: ${NOT_OPEN_VSWITCH}`);
  if (bridge.kind !== 'bridge') {
    const text = `${name} is a ${bridge.kind || 'physical'} interface, no Linux bridge`;
    throw new CurlingError('CURLING_TAP_NOT_ON_BRIDGE', text);
  }
  checkBridge(bridge);
}

/** Refuses a tap behind which the host finds its own gateway: a router in the guest, or a tunnel that is the uplink. */
function checkWayOut(tap: Link, bridge: string, now: Surroundings): void {
  const routes = now.routes.filter(route => chain(route.link, now).includes(bridge));
  if (routes.length === 0) return;
  for (const { gateway } of routes) {
    const mac = gateway === undefined ? undefined : now.neighbours.get(gateway);
    if (mac !== undefined && now.portOf.get(mac) === tap.name)
      throw hostLink(`this host's gateway ${gateway} is behind ${tap.name}`);
  }
  const own = (link: Link) => link.mac.startsWith(PORT_MAC_PREFIX);
  if (now.links.some(link => link.master === bridge && link.name !== tap.name && !own(link)))
    return;
  throw hostLink(`this host's default route is by ${bridge}, and ${tap.name} is its only port`);
}

function checkPortName(port: string, bridge: string | undefined, now: Surroundings): void {
  const taken = linkOf(now, port);
  // A proxy serves the tap already.
  if (!taken || (bridge !== undefined && taken.master === bridge && taken.kind === 'tun')) return;
  const text = `there is an interface ${port}, and the proxy needs this name for its own port`;
  throw new CurlingError('CURLING_BUSY', text);
}

/** What a shell needs to know of the tap and its bridge; `none` where there is nothing. */
export function preparationFacts(
  tap: string,
  bridge: string | undefined,
  now: Surroundings,
): Record<string, string> {
  const link = linkOf(now, tap);
  const master = linkOf(now, bridge ?? link?.master);
  const port = link && portName(link);
  return {
    tap_index: String(link?.index ?? 'none'),
    tap_mac: link?.mac ?? 'none',
    tap_mtu: String(link?.mtu ?? 'none'),
    tap_master: link?.master ?? 'none',
    tap_state: link?.flags.includes('UP') ? 'up' : 'down',
    tap_persists: yes(link?.kind !== 'tun' || link.info.persist === true),
    /** Whether a guest has it open, or another end is up. */
    tap_used: yes(link?.flags.includes('LOWER_UP') === true),
    tap_served: yes(linkOf(now, port) !== undefined),
    tap_closed: yes(now.ingress.ours !== undefined),
    ...marksOf(link, now),
    bridge_name: master?.name ?? 'none',
    bridge_mac: master?.mac ?? 'none',
    bridge_mtu: String(master?.mtu ?? 'none'),
  };
}

/** What a proxy that was killed may leave on a tap, as it is now; without a proxy's, when the tap is closed. */
function marksOf(link: Link | undefined, now: Surroundings): Record<string, string> {
  if (!link) return { tap_hook: 'none', tap_isolated: 'none', tap_router: 'none' };
  const { isolated, hook, router } = now.ingress.ours ?? foundState(link, now.ingress.hook);
  return {
    tap_hook: hook ? 'there' : 'none',
    tap_isolated: isolated ? 'on' : 'off',
    tap_router: String(router),
  };
}

function yes(condition: boolean): string {
  return condition ? 'yes' : 'no';
}
