/** Finds and ends the processes of a network namespace, whoever started them. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

const NETNS_DIRECTORY = '/var/run/netns';
/** How long a killed process may take to disappear. */
const KILL_MS_MAX = 5000;

/** The names in /var/run/netns that begin with `prefix`. */
export function namespacesWith(prefix: string): string[] {
  return entriesOf(NETNS_DIRECTORY).filter(name => name.startsWith(prefix));
}

/** The names in a directory; none when it does not exist. */
export function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** The running processes (no zombies) whose network namespace is one of `namespaces`. */
export function pidsIn(namespaces: readonly string[]): number[] {
  const links = new Set<string>();
  for (const name of namespaces) {
    const inode = statSync(`${NETNS_DIRECTORY}/${name}`, { throwIfNoEntry: false })?.ino;
    if (inode !== undefined) links.add(`net:[${inode}]`);
  }
  if (links.size === 0) return [];
  return entriesOf('/proc')
    .map(Number)
    .filter(pid => pid > 0 && pid !== process.pid && links.has(namespaceLink(pid)));
}

/**
 * The running processes whose environment at their start held `entry` (`NAME=value`). A process that is on its way into
 * its namespace is not there yet, but has its environment.
 */
export function pidsWithEnvironment(entry: string): number[] {
  return entriesOf('/proc')
    .map(Number)
    .filter(pid => pid > 0 && pid !== process.pid)
    .filter(pid => procText(pid, 'environ').split('\0').includes(entry));
}

/** A file of /proc/PID as text; empty when the process is gone. */
export function procText(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    return '';
  }
}

function namespaceLink(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return ''; // It ended meanwhile, or is a zombie.
  }
}

/** Sends a signal; a process that is gone already is no error. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended meanwhile.
    }
  }
}

/**
 * Kills every process that `find` finds, until it finds none, at most for 5 s. Blocks, because it also runs while this
 * process exits; repeats, because a process may have been starting another.
 * @returns how many were killed; -1 when some would not die.
 */
export function killAll(find: () => readonly number[]): number {
  const killed = new Set<number>();
  const deadlineMs = Date.now() + KILL_MS_MAX;
  while (Date.now() < deadlineMs) {
    const pids = find();
    if (pids.length === 0) return killed.size;
    signalAll(pids, 'SIGKILL');
    for (const pid of pids) killed.add(pid);
    sleepBlocking(2);
  }
  return -1;
}

/** Blocks this thread. */
function sleepBlocking(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

/** When a process started, in clock ticks since boot: with the pid it names one process for ever. 0: no such process. */
export function startTimeOf(pid: number): number {
  const stat = procText(pid, 'stat');
  // The program's name in parentheses may hold anything; the fields are counted from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat === '' || fields[0] === 'Z' ? 0 : Number(fields[19]);
}
