/**
 * Who had the processors: this benchmark, others, or nobody. From /proc/stat (ticks since boot of the whole machine)
 * and /proc/PID/stat. A process is ours when it descends from this one, or when its environment says so (it may have
 * lost its parent). Kernel threads count as nobody's: most of what they do is done for the benchmark.
 */
import { readFileSync } from 'node:fs';
import { entriesOf, procText } from '../../lab/processes.ts';

/** Set for every process of a benchmark. */
export const RUN_VARIABLE = 'CURLING_BENCH_RUN';
/** The parent of all kernel threads. */
const KTHREADD = 2;

/** Ticks since boot. */
export interface Ticks {
  total: number;
  /** User and system time of all processes, kernel threads too. */
  processes: number;
  steal: number;
  /** By process: ours and kernel threads. */
  ours: ReadonlyMap<number, OwnTicks>;
}

export interface OwnTicks {
  /** With those of its ended children. */
  ticks: number;
  /** Whether, when it ends, its ticks go to another process of ours: it has not lost its parent. */
  inherited: boolean;
}

export interface Load {
  stealPercent: number;
  foreignPercent: number;
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal … (proc(5)). */
export function parseCpuLine(text: string): Omit<Ticks, 'ours'> {
  const fields = /^cpu +(.+)$/m.exec(text)?.[1]?.split(/\s+/).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, soft = 0, steal = 0] =
    fields;
  const total = user + nice + system + idle + iowait + irq + soft + steal;
  return { total, processes: user + nice + system, steal };
}

export interface ProcessTicks {
  pid: number;
  parent: number;
  ticks: number;
}

/** /proc/PID/stat; the name in parentheses may hold anything, so the fields are counted from behind it. */
export function parseProcessLine(text: string): ProcessTicks | undefined {
  const end = text.lastIndexOf(')');
  if (end < 0) return undefined;
  const fields = text.slice(end + 2).split(' ');
  // From field 3 (state): 1 is ppid, 11 to 14 are utime, stime, cutime and cstime.
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { pid: Number.parseInt(text, 10), parent: Number(fields[1]), ticks };
}

/** `root`, its descendants, those that are `marked` and theirs, and kernel threads. */
export function ownTicks(
  processes: readonly ProcessTicks[],
  root: number,
  marked: (pid: number) => boolean,
): Map<number, OwnTicks> {
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]));
  const descends = (pid: number): boolean => {
    // Bounded: a list that was read while processes came and went must not hang us.
    for (let at = pid, steps = 0; at > 0 && steps <= parents.size; steps += 1) {
      if (at === root || at === KTHREADD) return true;
      at = parents.get(at) ?? 0;
    }
    return false;
  };
  const own = new Map<number, OwnTicks>();
  for (const { pid, ticks } of processes) {
    const inherited = descends(pid);
    if (inherited || marked(pid)) own.set(pid, { ticks, inherited });
  }
  return own;
}

/** What our processes took between two readings. */
function oursBetween(before: Ticks['ours'], after: Ticks['ours']): number {
  let ticks = 0;
  for (const own of after.values()) ticks += own.ticks;
  for (const [pid, own] of before) if (own.inherited || after.has(pid)) ticks -= own.ticks;
  return Math.max(0, ticks);
}

/** What happened between two readings. */
export function loadBetween(before: Ticks, after: Ticks): Load {
  const total = after.total - before.total;
  if (total <= 0) return { stealPercent: 0, foreignPercent: 0 };
  const all = after.processes - before.processes;
  const foreign = all - oursBetween(before.ours, after.ours);
  const percent = (ticks: number) => Math.min(100, Math.max(0, (ticks / total) * 100));
  return { stealPercent: percent(after.steal - before.steal), foreignPercent: percent(foreign) };
}

/** Marks this process's children, and returns what reads the ticks of this machine now. */
export function createLoadMeter(): () => Ticks {
  const mark = `${process.pid}-${Date.now()}`;
  process.env[RUN_VARIABLE] = mark;
  const marked = (pid: number) => procText(pid, 'environ').includes(`${RUN_VARIABLE}=${mark}`);
  return () => {
    const pids = entriesOf('/proc').filter(name => /^\d+$/.test(name));
    const processes = pids.flatMap(pid => parseProcessLine(procText(Number(pid), 'stat')) ?? []);
    const ours = ownTicks(processes, process.pid, marked);
    return { ...parseCpuLine(readFileSync('/proc/stat', 'latin1')), ours };
  };
}
