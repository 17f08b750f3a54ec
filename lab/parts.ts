/** Finds curling's own processes, and QEMU's, on a host of the lab. */
import type { LabNode } from './node.ts';
import { procText } from './processes.ts';

/** What can be looked at, or killed, by itself on a host. */
export type Part = 'coordinator' | 'proxy' | 'qemu';

const COMMANDS: Record<Part | 'witness', string> = {
  coordinator: '/build/coordinator/main.js',
  proxy: '/build/proxy/main.js',
  witness: '/build/witness/main.js',
  qemu: 'qemu-system-x86_64',
};

/** The processes of a node that run this part; a child of one that is about to become a tool is not one. */
export function partPids(node: LabNode, part: Part | 'witness'): number[] {
  const pids = node
    .pids()
    .filter(pid => commandOf(pid).some(word => word.endsWith(COMMANDS[part])));
  return pids.filter(pid => !pids.includes(parentOf(pid)));
}

/** The program and its first argument: other processes may be given these words too. Empty when it is gone. */
export function commandOf(pid: number): string[] {
  return procText(pid, 'cmdline').split('\0').slice(0, 2);
}

function parentOf(pid: number): number {
  const stat = procText(pid, 'stat');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
