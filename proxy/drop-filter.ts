/**
 * The filter that closes a tap: it drops every frame that comes in from the guest, before the bridge sees it and after
 * AF_PACKET has. It belongs to the interface and not to a process, so a killed proxy leaves the tap closed.
 *
 * It is a classic BPF program of one instruction, `return TC_ACT_SHOT`, at preference 1 of the tap's ingress hook. Its
 * handle says that it is curling's, and what to put back when the tap opens again:
 *
 *   0x4375 in the upper half ("Cu"); bit 0: the port was isolated before; bit 1: the hook was there before;
 *   bits 2 and 3: whether the port was taken for one with a multicast router, exclusive or 1, the kernel's default
 */
import { isObject } from '../common/qmp/messages.ts';
import { run } from '../common/run.ts';
import { parseRows } from './links.ts';

const PREFERENCE = 1;
const MARK = 0x4375;
const WAS_ISOLATED = 1;
const HAD_HOOK = 2;
const ROUTER_SHIFT = 2;
const ROUTER_MASK = 3;
/** MDB_RTR_TYPE_TEMP_QUERY, include/uapi/linux/if_bridge.h: the bridge finds out. */
export const ROUTER_DEFAULT = 1;
const DROP_ALL = '1,6 0 0 2';

/** How the tap was before curling came. */
export interface FoundState {
  /** Whether the port was isolated from other isolated ports of its bridge. */
  isolated: boolean;
  /** Whether the tap had an ingress hook (a clsact or ingress qdisc). */
  hook: boolean;
  /** `mcast_router` of the port, 0 to 3. */
  router: number;
}

/** The handle of the filter that remembers `found`. */
export function handleOf(found: FoundState): number {
  const flags = (found.isolated ? WAS_ISOLATED : 0) + (found.hook ? HAD_HOOK : 0);
  const router = (found.router ^ ROUTER_DEFAULT) << ROUTER_SHIFT;
  return MARK * 0x1_0000 + flags + router;
}

/** What the filter with this handle remembers; undefined when it is not curling's. */
export function foundStateOf(handle: number): FoundState | undefined {
  if (handle >>> 16 !== MARK) return undefined;
  return {
    isolated: (handle & WAS_ISOLATED) !== 0,
    hook: (handle & HAD_HOOK) !== 0,
    router: ((handle >>> ROUTER_SHIFT) & ROUTER_MASK) ^ ROUTER_DEFAULT,
  };
}

/** What is on the ingress hook of a tap. */
export interface IngressState {
  /** Whether there is a hook. */
  hook: boolean;
  /** What curling's filter remembers, when it is there. */
  ours: FoundState | undefined;
  /** Whether a filter of somebody else has the place of ours. Those behind it see nothing while the tap is closed. */
  taken: boolean;
}

/** Reads the ingress hook of `tap`. */
export async function readIngress(tap: string): Promise<IngressState> {
  const qdiscs = parseRows(await run('tc', ['-json', 'qdisc', 'show', 'dev', tap]));
  const hook = qdiscs.some(qdisc => qdisc.kind === 'clsact' || qdisc.kind === 'ingress');
  const state: IngressState = { hook, ours: undefined, taken: false };
  if (!hook) return state;
  const text = await run('tc', ['-json', 'filter', 'show', 'dev', tap, 'ingress']);
  for (const filter of parseRows(text)) {
    if (filter.pref !== PREFERENCE) continue;
    // The first row of a preference only names what is at it; a filter has a handle.
    const handle = isObject(filter.options) ? filter.options.handle : undefined;
    const ours = filter.kind === 'bpf' && handle ? foundStateOf(Number(handle)) : undefined;
    if (ours) state.ours = ours;
    else if (handle || filter.kind !== 'bpf') state.taken = true;
  }
  return state;
}

/** Adds the ingress hook to `tap`. It costs nothing while it has no filter. */
export async function addHook(tap: string): Promise<void> {
  await run('tc', ['qdisc', 'add', 'dev', tap, 'clsact']);
}

/** Removes the ingress hook from `tap`, with all that is on it. */
export async function removeHook(tap: string): Promise<void> {
  await run('tc', ['qdisc', 'del', 'dev', tap, 'clsact']);
}

/** Closes `tap`; leaves it closed when it is. */
export async function addDropFilter(tap: string, found: FoundState): Promise<void> {
  await run('tc', ['filter', 'replace', ...placeOf(tap, found), 'da', 'bytecode', DROP_ALL]);
}

/** Opens `tap`. */
export async function removeDropFilter(tap: string, found: FoundState): Promise<void> {
  await run('tc', ['filter', 'del', ...placeOf(tap, found)]);
}

function placeOf(tap: string, found: FoundState): string[] {
  const handle = `0x${handleOf(found).toString(16)}`;
  const place = `dev ${tap} ingress protocol all pref ${PREFERENCE} handle ${handle} bpf`;
  return place.split(' ');
}
