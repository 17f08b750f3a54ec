/** What the kernel says about network interfaces, read through `ip -json`. */
import { CurlingError } from '../common/errors.ts';
import { isObject, type JsonObject } from '../common/qmp/messages.ts';
import { run } from '../common/run.ts';

export interface Link {
  index: number;
  name: string;
  /** The bridge or bond that it belongs to. */
  master: string | undefined;
  /** What it stands on, e.g. of a VLAN; of a veth its other end. */
  lower: string | undefined;
  /** Its own hardware address. */
  mac: string;
  mtu: number;
  flags: string[];
  /** What it is: tun, veth, bridge, macvtap …; empty for a physical device. */
  kind: string;
  /** Of that kind, e.g. `type` of a tun, `vlan_filtering` of a bridge. */
  info: JsonObject;
  /** What it is a port of: bridge, bond, openvswitch …; empty when it is none. */
  portKind: string;
  /** As a bridge port: `state`, `isolated` …; empty otherwise. */
  port: JsonObject;
}

/** The interface `name`, or undefined when there is none. */
export async function readLink(name: string): Promise<Link | undefined> {
  try {
    return parseLinks(await run('ip', ['-d', '-json', 'link', 'show', 'dev', name]))[0];
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** All interfaces of this network namespace. */
export async function readLinks(): Promise<Link[]> {
  return parseLinks(await run('ip', ['-d', '-json', 'link', 'show']));
}

/** The ports of a bridge, without details; none when there is no such bridge. */
export async function readPorts(bridge: string): Promise<Link[]> {
  try {
    return parseLinks(await run('ip', ['-json', 'link', 'show', 'master', bridge]));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** `ip` has no status of its own for a missing interface; these are its words. */
function isMissing(error: unknown): boolean {
  return error instanceof CurlingError && /does not exist|Cannot find device/.test(error.message);
}

/**
 * The rows of an iproute2 tool's JSON output; it prints nothing at all when there are none.
 * @throws CurlingError CURLING_TOOL_FAILED when it is something else.
 */
export function parseRows(text: string): JsonObject[] {
  try {
    const rows: unknown = text.trim() === '' ? [] : JSON.parse(text);
    if (Array.isArray(rows)) return rows.filter(isObject);
  } catch {
    // Said below.
  }
  const got = JSON.stringify(text.slice(0, 80));
  throw new CurlingError('CURLING_TOOL_FAILED', `expected a JSON list from iproute2, got ${got}`);
}

/** The interfaces in the output of `ip -json link show`. */
export function parseLinks(text: string): Link[] {
  const links: Link[] = [];
  for (const row of parseRows(text)) {
    if (typeof row.ifname !== 'string' || typeof row.ifindex !== 'number') continue;
    const linkinfo = isObject(row.linkinfo) ? row.linkinfo : {};
    links.push({
      index: row.ifindex,
      name: row.ifname,
      master: typeof row.master === 'string' ? row.master : undefined,
      lower: typeof row.link === 'string' ? row.link : undefined,
      mac: String(row.address ?? ''),
      mtu: Number(row.mtu),
      flags: Array.isArray(row.flags) ? row.flags.map(String) : [],
      kind: typeof linkinfo.info_kind === 'string' ? linkinfo.info_kind : '',
      info: isObject(linkinfo.info_data) ? linkinfo.info_data : {},
      portKind: typeof linkinfo.info_slave_kind === 'string' ? linkinfo.info_slave_kind : '',
      port: isObject(linkinfo.info_slave_data) ? linkinfo.info_slave_data : {},
    });
  }
  return links;
}
