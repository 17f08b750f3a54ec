/** What this host has around a tap: all links, and how the host itself reaches the world. Read for `curling-install`. */
import { isObject, type JsonObject } from '../common/qmp/messages.ts';
import { run } from '../common/run.ts';
import { type IngressState, readIngress } from './drop-filter.ts';
import { type Link, parseRows, readLinks } from './links.ts';

/** Where packets to everywhere else go. */
export interface DefaultRoute {
  link: string;
  /** The next hop's address; undefined where there is none, as on a point-to-point link. */
  gateway: string | undefined;
}

export interface Surroundings {
  links: Link[];
  /** Addresses of the tap that the host would lose with it, as text. */
  addresses: string[];
  /** Default routes of every table, IPv4 and IPv6, each next hop by itself. */
  routes: DefaultRoute[];
  /** Hardware addresses of neighbours by their network address. */
  neighbours: Map<string, string>;
  /** The bridge's table: behind which port a hardware address is. */
  portOf: Map<string, string>;
  /** The tap's ingress hook. */
  ingress: IngressState;
}

const NO_INGRESS: IngressState = { hook: false, ours: undefined, taken: false };

/**
 * Reads all of it. Changes nothing.
 * @param tap A name; there may be no such link.
 * @param bridge The bridge that is asked for; by default the one that the tap is on, if any.
 * @throws CurlingError CURLING_TOOL_MISSING, CURLING_TOOL_FAILED.
 */
export async function readSurroundings(tap: string, bridge?: string): Promise<Surroundings> {
  const links = await readLinks();
  const link = links.find(({ name }) => name === tap);
  const table = links.find(({ name }) => name === (bridge ?? link?.master));
  const rows = async (tool: string, args: string) =>
    parseRows(await run(tool, ['-json', ...args.split(' ')]));
  return {
    links,
    addresses: link ? addressesOf(await rows('ip', `addr show dev ${tap}`)) : [],
    routes: [
      ...routesOf(await rows('ip', '-4 route show table all default')),
      ...routesOf(await rows('ip', '-6 route show table all default')),
    ],
    neighbours: pairs(await rows('ip', 'neigh show'), 'dst', 'lladdr'),
    portOf:
      table?.kind === 'bridge'
        ? pairs(await rows('bridge', `fdb show br ${table.name}`), 'mac', 'ifname')
        : new Map(),
    ingress: link ? await readIngress(tap) : NO_INGRESS,
  };
}

/** IPv6 gives every link that is up a link-local address, which nobody misses. */
function addressesOf(rows: readonly JsonObject[]): string[] {
  return rows
    .flatMap(row => (Array.isArray(row.addr_info) ? row.addr_info.filter(isObject) : []))
    .filter(address => address.family !== 'inet6' || address.scope !== 'link')
    .map(address => `${address.local}/${address.prefixlen}`);
}

function routesOf(rows: readonly JsonObject[]): DefaultRoute[] {
  return rows
    .flatMap(row => (Array.isArray(row.nexthops) ? row.nexthops.filter(isObject) : [row]))
    .filter(hop => typeof hop.dev === 'string')
    .map(hop => ({
      link: String(hop.dev),
      gateway: hop.gateway === undefined ? viaOf(hop.via) : String(hop.gateway),
    }));
}

/** The gateway of a route whose next hop is of the other family. */
function viaOf(via: unknown): string | undefined {
  return isObject(via) && typeof via.host === 'string' ? via.host : undefined;
}

function pairs(rows: readonly JsonObject[], key: string, value: string): Map<string, string> {
  const known = rows.filter(row => typeof row[key] === 'string' && typeof row[value] === 'string');
  return new Map(known.map(row => [String(row[key]), String(row[value])]));
}
