/** The most memory that processes had resident, as the kernel keeps it (VmHWM). */
import { writeFileSync } from 'node:fs';
import type { LabHost } from '../../lab/node.ts';
import { procText } from '../../lab/processes.ts';
import { type Role, roleOf } from './cpu.ts';

const KIB = 1024;
/** What proc(5) has for clear_refs: the peak is what is resident now. */
const RESET_PEAK = '5';

/** Of all processes of this role on the host, bytes; 0 without any. */
export function peakBytes(host: LabHost, role: Role): number {
  const peaks = pidsOf(host, role).map(pid => peakIn(procText(pid, 'status')));
  return peaks.reduce((sum, bytes) => sum + bytes, 0);
}

/** From here on, the peak is a new one. */
export function resetPeak(host: LabHost, role: Role): void {
  for (const pid of pidsOf(host, role)) writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
}

/** The peak in the text of /proc/PID/status, bytes; 0 when it has none. */
export function peakIn(status: string): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * KIB;
}

function pidsOf(host: LabHost, role: Role): number[] {
  return host.pids().filter(pid => roleOf(procText(pid, 'cmdline')) === role);
}
