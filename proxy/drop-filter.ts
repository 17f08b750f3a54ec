/**
 * The filter that closes a tap: it drops every frame that comes in from the guest, before the bridge sees it and after
 * AF_PACKET has. It belongs to the interface and not to a process, so a killed proxy leaves the tap closed.
 *
 * It is a classic BPF program of one instruction, `return TC_ACT_SHOT`, at preference 1 of the tap's ingress hook. Its
 * handle says that it is curling's, and what to put back when the tap opens again:
 *
 *   0x4375 in the upper half ("Cu"); bit 0: the port was isolated before; bit 1: the hook was there before
 */
import { CurlingError } from '../common/errors.ts';
import { isObject, type JsonObject } from '../common/qmp/messages.ts';
import { run } from '../common/run.ts';
import { parseRows } from './links.ts';

const PREFERENCE = 1;
const MARK = 0x4375;
const WAS_ISOLATED = 1;
const HAD_HOOK = 2;
const DROP_ALL = '1,6 0 0 2';

/** How the tap was before curling came. */
export interface FoundState {
  /** Whether the port was isolated from other isolated ports of its bridge. */
  isolated: boolean;
  /** Whether the tap had an ingress hook (a clsact or ingress qdisc). */
  hook: boolean;
}

/** The handle of the filter that remembers `found`. */
export function handleOf(found: FoundState): number {
  return MARK * 0x1_0000 + (found.isolated ? WAS_ISOLATED : 0) + (found.hook ? HAD_HOOK : 0);
}

/** What the filter with this handle remembers; undefined when it is not curling's. */
export function foundStateOf(handle: number): FoundState | undefined {
  if (handle >>> 16 !== MARK) return undefined;
  return { isolated: (handle & WAS_ISOLATED) !== 0, hook: (handle & HAD_HOOK) !== 0 };
}

/** What is on the ingress hook of a tap. */
export interface IngressState {
  /** Whether there is a hook. */
  hook: boolean;
  /** What curling's filter remembers, when it is there. */
  ours: FoundState | undefined;
  /** How many filters of others are there. */
  foreign: number;
}

/** Reads the ingress hook of `tap`. */
export async function readIngress(tap: string): Promise<IngressState> {
  const qdiscs = parseRows(await run('tc', ['-json', 'qdisc', 'show', 'dev', tap]));
  const hook = qdiscs.some(qdisc => qdisc.kind === 'clsact' || qdisc.kind === 'ingress');
  const state: IngressState = { hook, ours: undefined, foreign: 0 };
  if (!hook) return state;
  const text = await run('tc', ['-json', 'filter', 'show', 'dev', tap, 'ingress']);
  for (const filter of parseRows(text)) {
    // A preference without a handle is only the head of the filters at it.
    if (!isObject(filter.options) || filter.options.handle === undefined) continue;
    const ours = isOurs(filter) ? foundStateOf(Number(filter.options.handle)) : undefined;
    if (ours) state.ours = ours;
    else state.foreign++;
  }
  return state;
}

function isOurs(filter: JsonObject): boolean {
  return filter.kind === 'bpf' && filter.pref === PREFERENCE;
}

/** Adds the ingress hook to `tap`. It costs nothing while it has no filter. */
export async function addHook(tap: string): Promise<void> {
  await run('tc', ['qdisc', 'add', 'dev', tap, 'clsact']);
}

/** Removes the ingress hook from `tap`, with all that is on it. */
export async function removeHook(tap: string): Promise<void> {
  await run('tc', ['qdisc', 'del', 'dev', tap, 'clsact']);
}

/**
 * Closes `tap`; leaves it closed when it is.
 * @throws CurlingError CURLING_TAP_UNSUPPORTED when somebody else's filter is at its place.
 */
export async function addDropFilter(tap: string, found: FoundState): Promise<void> {
  const args = ['filter', 'replace', ...placeOf(tap, found), 'da', 'bytecode', DROP_ALL];
  try {
    await run('tc', args);
  } catch (error) {
    if (!(error instanceof CurlingError) || error.code !== 'CURLING_TOOL_FAILED') throw error;
    const text = `${tap} cannot be closed: ${error.message}; is preference ${PREFERENCE} of its ingress taken?`;
    throw new CurlingError('CURLING_TAP_UNSUPPORTED', text, { cause: error });
  }
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
