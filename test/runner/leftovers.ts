/** Finds what a test run left behind on the machine: processes, namespaces, shared memory, interfaces. */
import { setTimeout as sleep } from 'node:timers/promises';
import { entriesOf, pidsIn, pidsWithEnvironment, procText } from '../../lab/processes.ts';
import { labNameOf, ownerAlive, readRecord } from '../../lab/record.ts';

/** Set for every process of a test run, so that what outlives the run is known by its environment. */
export const RUN_VARIABLE = 'CURLING_TEST_RUN';

/** How the names of labs, of shared memory and of the proxy's test namespaces begin. The rest is somebody else's. */
const OURS = /^(clab|curl|cpt\d)/;
const PLACES = {
  'network namespace': '/var/run/netns',
  'shared memory': '/dev/shm',
  interface: '/sys/class/net',
} as const;
/** Namespaces and killed processes may need a moment to go. */
const GRACE_MS = 3000;
const POLL_MS = 100;

/** What is there now, as `kind name`. */
export function present(): Set<string> {
  const found = new Set<string>();
  for (const [kind, directory] of Object.entries(PLACES)) {
    for (const name of entriesOf(directory)) if (OURS.test(name)) found.add(`${kind} ${name}`);
  }
  return found;
}

/**
 * What is there now, was not there `before`, and belongs to no lab in use. Waits a moment for it to go.
 * @param run the value of RUN_VARIABLE in this run
 */
export async function leftBehind(before: ReadonlySet<string>, run: string): Promise<string[]> {
  const mark = `${RUN_VARIABLE}=${run}`;
  const deadlineMs = Date.now() + GRACE_MS;
  for (;;) {
    const ours = pidsWithEnvironment(mark);
    const entries = [...present()].filter(entry => !before.has(entry) && !ownedLab(entry));
    if (entries.length + ours.length === 0) return [];
    if (Date.now() > deadlineMs)
      return [...entries.filter(entry => !usedByOthers(entry, ours)), ...ours.map(describe)];
    await sleep(POLL_MS);
  }
}

/** Whether a lab with a living owner made it: another run on the same machine. */
function ownedLab(entry: string): boolean {
  const lab = labNameOf(entry.split(' ').at(-1)!);
  const record = lab === undefined ? undefined : readRecord(lab);
  return record !== undefined && ownerAlive(record);
}

/** Whether a process of somebody else maps it, was started with its name, or runs in it. */
function usedByOthers(entry: string, ours: readonly number[]): boolean {
  const name = entry.split(' ').at(-1)!;
  const inside = pidsIn([name]);
  return entriesOf('/proc')
    .map(Number)
    .filter(pid => pid > 0 && pid !== process.pid && !ours.includes(pid))
    .some(
      pid =>
        inside.includes(pid) ||
        procText(pid, 'cmdline').includes(name) ||
        procText(pid, 'maps').includes(`/dev/shm/${name}`),
    );
}

function describe(pid: number): string {
  return `process ${pid} (${procText(pid, 'cmdline').replaceAll('\0', ' ').trim()})`;
}
