/** Processor time of processes, to the nanosecond: /proc/PID/stat counts in hundredths of a second. */
import { readFileSync } from 'node:fs';
import type { LabHost } from '../../lab/node.ts';
import { entriesOf, procText } from '../../lab/processes.ts';

/** What runs on a host, by what it is there for. */
export const ROLES = ['coordinator', 'proxy', 'qemu'] as const;
export type Role = (typeof ROLES)[number];

/** Milliseconds used since the processes started. */
export type CpuMs = Record<Role, number>;

/** What a process is, from its command line (arguments end in NUL); undefined for anything else. */
export function roleOf(commandLine: string): Role | undefined {
  const [program = '', script = ''] = commandLine.split('\0');
  if (/(^|\/)qemu-system-/.test(program)) return 'qemu';
  return /build\/(coordinator|proxy)\/main\.js$/.exec(script)?.[1] as Role | undefined;
}

/** Of all threads that a process has now. */
export function cpuNs(pid: number): number {
  const threads = entriesOf(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + threadNs(`/proc/${pid}/task/${thread}`), 0);
}

function threadNs(folder: string): number {
  try {
    return Number(readFileSync(`${folder}/schedstat`, 'latin1').split(' ')[0]);
  } catch {
    return 0; // It ended meanwhile.
  }
}

export function cpuOf(hosts: readonly LabHost[]): CpuMs {
  const sum: CpuMs = { coordinator: 0, proxy: 0, qemu: 0 };
  for (const pid of hosts.flatMap(host => host.pids())) {
    const role = roleOf(procText(pid, 'cmdline'));
    if (role) sum[role] += cpuNs(pid) / 1e6;
  }
  return sum;
}

/** What was used between two readings, in milliseconds per second. */
export function cpuPerSecond(before: CpuMs, after: CpuMs, seconds: number): CpuMs {
  const used = (role: Role) => Math.max(0, after[role] - before[role]) / seconds;
  return { coordinator: used('coordinator'), proxy: used('proxy'), qemu: used('qemu') };
}
