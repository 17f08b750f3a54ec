/**
 * Where the proxy stands on the bridge. The tap stays the port that it is; beside it stands the own tap, and what the
 * guest sends goes this way in hold, and straight to the bridge in bypass:
 *
 *   guest → tap ┬→ packet ring → held → own tap → bridge
 *               └→ drop filter
 *   guest ← tap ← bridge
 *
 * Both ports are isolated, so that a released broadcast does not come back to its sender. The own tap neither learns
 * nor gets floods: the guest's addresses stay on the tap, put there as entries marked extern_learn, which do not age,
 * give way when the guest appears elsewhere, and are known as curling's by their mark. The groups that the guest joins
 * are heard on the own tap too, which gets no floods; so the tap counts as one with a multicast router behind it, to
 * which the bridge sends every group.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../common/errors.ts';
import { run } from '../common/run.ts';
import {
  addDropFilter,
  addHook,
  type FoundState,
  type IngressState,
  ROUTER_DEFAULT,
  readIngress,
  removeDropFilter,
  removeHook,
} from './drop-filter.ts';
import { type Link, parseRows, readLink } from './links.ts';
import { allSettled } from './settled.ts';

/** IFNAMSIZ without its terminating zero. */
const NAME_LENGTH_MAX = 15;
/**
 * How the address of an own tap begins. It is above all that others use, because a bridge takes the lowest one of its
 * ports as its own.
 */
export const PORT_MAC_PREFIX = 'fe:63:75';
/** MDB_RTR_TYPE_PERM, include/uapi/linux/if_bridge.h */
const ROUTER_ALWAYS = 2;
/** With spanning tree a new port listens and learns for twice the forward delay, 30 s at most by default. */
const FORWARDING_WAIT_MS = 40_000;
const FORWARDING_POLL_MS = 20;

/** A tap that the proxy can serve, as it was found. */
export interface TapSite {
  tap: Link;
  bridge: string;
  found: FoundState;
  /** Whether a proxy that was killed left the tap closed. */
  closed: boolean;
}

/**
 * Finds the tap and checks that it can be served. Changes nothing.
 * @param bridge The bridge that it must be on; by default any.
 * @throws CurlingError CURLING_USAGE, CURLING_TAP_NOT_FOUND, CURLING_TAP_UNSUPPORTED, CURLING_TAP_NOT_ON_BRIDGE.
 */
export async function inspectTap(name: string, bridge?: string): Promise<TapSite> {
  checkName('tap', name);
  if (bridge !== undefined) checkName('bridge', bridge);
  const tap = await readLink(name);
  if (!tap) throw new CurlingError('CURLING_TAP_NOT_FOUND', `there is no interface ${name}`);
  checkKind(tap);
  const master = await readMaster(tap, bridge);
  checkBridge(master);
  const ingress = await readIngress(tap.name);
  checkIngress(tap, ingress);
  return {
    tap,
    bridge: master.name,
    found: ingress.ours ?? foundState(tap, ingress.hook),
    closed: ingress.ours !== undefined,
  };
}

/** @throws CurlingError when the proxy cannot work on this bridge: CURLING_TAP_UNSUPPORTED, CURLING_TAP_NOT_ON_BRIDGE. */
export function checkBridge(bridge: Link): void {
  if (Number(bridge.info.vlan_filtering) === 1) {
    const text = `${bridge.name} filters VLANs, which the proxy does not support yet`;
    throw new CurlingError('CURLING_TAP_UNSUPPORTED', text);
  }
  if (bridge.flags.includes('UP')) return;
  const text = `the bridge ${bridge.name} is down; bring it up first`;
  throw new CurlingError('CURLING_TAP_NOT_ON_BRIDGE', text);
}

/** @throws CurlingError CURLING_TAP_UNSUPPORTED when somebody else has the place of the proxy's filter. */
export function checkIngress(tap: Link, ingress: IngressState): void {
  if (!ingress.taken) return;
  const text = `${tap.name} has an ingress filter at preference 1, where the proxy needs its own; move it behind`;
  throw new CurlingError('CURLING_TAP_UNSUPPORTED', text);
}

/** What of `tap` the handle of the filter remembers. */
export function foundState(tap: Link, hook: boolean): FoundState {
  const router = Number(tap.port.multicast_router ?? ROUTER_DEFAULT);
  return { isolated: tap.port.isolated === true, hook, router };
}

async function readMaster(tap: Link, bridge: string | undefined): Promise<Link> {
  const master = tap.master === undefined ? undefined : await readLink(tap.master);
  if (master?.kind !== 'bridge') {
    const text = `${tap.name} is not a port of a bridge; add it: ip link set ${tap.name} master BRIDGE`;
    throw new CurlingError('CURLING_TAP_NOT_ON_BRIDGE', text);
  }
  if (bridge !== undefined && master.name !== bridge) {
    const text = `${tap.name} is a port of ${master.name}, not of ${bridge}`;
    throw new CurlingError('CURLING_TAP_NOT_ON_BRIDGE', text);
  }
  return master;
}

function checkName(option: string, name: string): void {
  if (/^[^\s/]{1,15}$/.test(name) && name !== '.' && name !== '..') return;
  const text = `--${option}: expected the name of an interface, 1 to ${NAME_LENGTH_MAX} characters, got ${JSON.stringify(name)}`;
  throw new CurlingError('CURLING_USAGE', text);
}

/**
 * A veth end serves as well as a tap: both hand the bridge complete socket buffers.
 * @throws CurlingError CURLING_TAP_UNSUPPORTED for any other kind.
 */
export function checkKind(tap: Link): void {
  const isTap = tap.kind === 'tun' && tap.info.type === 'tap';
  if (isTap || tap.kind === 'veth') return;
  const text = `${tap.name} is a ${tap.kind || 'physical'} interface; the proxy serves taps that are ports of a Linux bridge`;
  throw new CurlingError('CURLING_TAP_UNSUPPORTED', text);
}

/** The name of the own tap beside `tap`: cp-NAME, shortened and made unique by the index where it is too long. */
export function portName(tap: Link): string {
  const name = `cp-${tap.name}`;
  if (name.length <= NAME_LENGTH_MAX) return name;
  const suffix = `-${tap.index}`;
  return name.slice(0, NAME_LENGTH_MAX - suffix.length) + suffix;
}

/**
 * Opens a tap that a proxy left closed, and takes back all that curling put there.
 * @returns Whether it was closed.
 * @throws CurlingError CURLING_BUSY while a proxy serves the tap.
 */
export async function restoreTap(site: TapSite): Promise<boolean> {
  const insertion = new BridgeSite(site);
  if (await readLink(insertion.port)) {
    const text = `a curling-proxy serves ${site.tap.name}: ${insertion.port} is there; end it first`;
    throw new CurlingError('CURLING_BUSY', text);
  }
  if (!site.closed) return false;
  await insertion.adopt();
  await insertion.open();
  await insertion.leave();
  return true;
}

/** Which link-local groups the bridge lets pass is said port by port; what leaves by the own tap came by the tap. */
function likeTap(tap: Link): string {
  const mask = Number(tap.port.group_fwd_mask ?? 0);
  return mask > 0 ? `group_fwd_mask ${mask}` : '';
}

export class BridgeSite {
  readonly site: TapSite;
  readonly port: string;
  readonly #macs = new Set<string>();
  /** Whether the tap may still count as one with a multicast router. */
  #getsGroups = false;

  constructor(site: TapSite) {
    this.site = site;
    this.port = portName(site.tap);
  }

  /**
   * Makes the own tap, which is there already, a port of the bridge, and prepares the tap's ingress hook.
   * @throws CurlingError CURLING_DATAPATH when the port does not come to forward.
   */
  async insertPort(): Promise<void> {
    const { tap, bridge, found, closed } = this.site;
    const index = (tap.index & 0xffffff).toString(16).padStart(6, '0').match(/../g)!.join(':');
    const commands = [
      `link set dev ${this.port} address ${PORT_MAC_PREFIX}:${index} mtu ${tap.mtu} addrgenmode none`,
      `link set dev ${this.port} master ${bridge}`,
      `link set dev ${this.port} type bridge_slave ${likeTap(tap)} isolated on learning off flood off mcast_flood off bcast_flood off`,
      `link set dev ${this.port} up`,
    ];
    await run('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` });
    if (!found.hook && !closed) await addHook(tap.name);
    await this.#forwarding();
  }

  /** Sets the MTU of the own tap. */
  async setMtu(mtu: number): Promise<void> {
    await run('ip', ['link', 'set', 'dev', this.port, 'mtu', String(mtu)]);
  }

  /** Closes the tap. To be called before capture starts. */
  async close(): Promise<void> {
    const { tap, found } = this.site;
    this.#getsGroups = true;
    await allSettled([
      addDropFilter(tap.name, found),
      this.#bridgeBatch([`link set dev ${tap.name} isolated on mcast_router ${ROUTER_ALWAYS}`]),
    ]);
  }

  /** Opens the tap and takes the guest's addresses back. To be called after capture has stopped. */
  async open(): Promise<void> {
    const { tap, found } = this.site;
    await allSettled([
      removeDropFilter(tap.name, found),
      this.#bridgeBatch([
        ...(found.isolated ? [] : [`link set dev ${tap.name} isolated off`]),
        ...[...this.#macs].map(mac => `fdb del ${mac} dev ${tap.name} master`),
      ]),
    ]);
    this.#macs.clear();
  }

  /** Tells the bridge that the guest has this address. */
  async placeGuest(mac: string): Promise<void> {
    this.#macs.add(mac);
    await this.#bridgeBatch([`fdb replace ${mac} dev ${this.site.tap.name} master extern_learn`]);
  }

  /** Takes over the addresses that an earlier proxy has placed. */
  async adopt(): Promise<void> {
    this.#getsGroups = true;
    for (const mac of await readPlaced(this.site.tap.name)) this.#macs.add(mac);
  }

  /**
   * Removes the ingress hook if curling made it. The tap must be open. Until now it got every group: the bridge may know
   * of those that the guest joined in hold only where the own tap is.
   */
  async leave(): Promise<void> {
    const { tap, found } = this.site;
    if (this.#getsGroups) {
      await this.#bridgeBatch([`link set dev ${tap.name} mcast_router ${found.router}`]);
    }
    if (!found.hook) await removeHook(tap.name);
  }

  /** Entries that have gone meanwhile (aged, or moved with the guest) are no failure. */
  async #bridgeBatch(commands: string[]): Promise<void> {
    if (commands.length === 0) return;
    const force = commands.some(command => command.startsWith('fdb del'));
    const input = `${commands.join('\n')}\n`;
    const done = run('bridge', [...(force ? ['-force'] : []), '-batch', '-'], { input });
    await (force ? done.catch(ignoreMissingEntries) : done);
  }

  async #forwarding(): Promise<void> {
    for (let waitedMs = 0; waitedMs < FORWARDING_WAIT_MS; waitedMs += FORWARDING_POLL_MS) {
      const link = await readLink(this.port);
      if (link?.port.state === 'forwarding') return;
      await sleep(FORWARDING_POLL_MS);
    }
    const text = `${this.port} does not forward on ${this.site.bridge} after ${FORWARDING_WAIT_MS / 1000} s`;
    throw new CurlingError('CURLING_DATAPATH', text);
  }
}

/** The addresses on `tap` that carry curling's mark. */
async function readPlaced(tap: string): Promise<string[]> {
  const rows = parseRows(await run('bridge', ['-json', 'fdb', 'show', 'dev', tap]));
  return rows
    .filter(row => Array.isArray(row.flags) && row.flags.includes('extern_learn'))
    .map(row => String(row.mac));
}

function ignoreMissingEntries(error: unknown): void {
  const answers = error instanceof CurlingError ? error.message.match(/answers: .*/g) : null;
  if (answers?.every(answer => answer === 'answers: No such file or directory')) return;
  throw error;
}
