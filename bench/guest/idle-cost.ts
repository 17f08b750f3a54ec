/** What the processes of a protected guest use while nothing happens: processor time, and how often they wake up. */
import { readFileSync } from 'node:fs';
import type { LabNode } from '../../lab/node.ts';
import { entriesOf, procText } from '../../lab/processes.ts';
import { cpuNs, type Role, roleOf } from './cpu.ts';

/** Since the processes started. */
export interface Used {
  cpuMs: number;
  /** Times that one of their threads gave the processor up by itself, to wait for something. */
  sleeps: number;
}

/** The processes of one role on a node. */
export function usedBy(node: LabNode, role: Role | 'witness'): Used {
  const pids = node.pids().filter(pid => isOf(procText(pid, 'cmdline'), role));
  const cpuMs = pids.reduce((sum, pid) => sum + cpuNs(pid) / 1e6, 0);
  return { cpuMs, sleeps: pids.reduce((sum, pid) => sum + sleepsOf(pid), 0) };
}

function isOf(commandLine: string, role: Role | 'witness'): boolean {
  if (role === 'witness') return /build\/witness\/main\.js\0/.test(commandLine);
  return roleOf(commandLine) === role;
}

function sleepsOf(pid: number): number {
  const threads = entriesOf(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + threadSleeps(`/proc/${pid}/task/${thread}`), 0);
}

function threadSleeps(folder: string): number {
  try {
    const status = readFileSync(`${folder}/status`, 'latin1');
    return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0; // It ended meanwhile.
  }
}
