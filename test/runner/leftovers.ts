/** Finds what a test run left behind on the machine: processes, namespaces, shared memory, interfaces. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { labNameOf, ownerAlive, readRecord } from '../../lab/record.ts';

/** Set for every process of a test run, so that what outlives the run is known by its environment. */
export const RUN_VARIABLE = 'CURLING_TEST_RUN';

/** Names of what curling's tests make; anything else on the machine is somebody else's. */
const OURS = /^(clab|curl|probe)/;
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
    for (const name of namesIn(directory)) if (OURS.test(name)) found.add(`${kind} ${name}`);
  }
  return found;
}

/**
 * What is there now, was not there `before`, and belongs to no lab in use. Waits a moment for it to go.
 * @param run the value of RUN_VARIABLE in this run
 */
export async function leftBehind(before: ReadonlySet<string>, run: string): Promise<string[]> {
  const deadlineMs = Date.now() + GRACE_MS;
  for (;;) {
    const now = [...present()].filter(entry => !before.has(entry) && !inUse(entry));
    const found = [...now, ...processesOf(run)];
    if (found.length === 0 || Date.now() > deadlineMs) return found;
    await sleep(POLL_MS);
  }
}

/** Whether a lab with a living owner made it: another run on the same machine. */
function inUse(entry: string): boolean {
  const lab = labNameOf(entry.split(' ').at(-1)!);
  const record = lab === undefined ? undefined : readRecord(lab);
  return record !== undefined && ownerAlive(record);
}

function processesOf(run: string): string[] {
  const tag = `${RUN_VARIABLE}=${run}`;
  return namesIn('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter(pid => textOf(`/proc/${pid}/environ`).split('\0').includes(tag))
    .map(pid => `process ${pid} (${textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()})`);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // It ended meanwhile.
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
