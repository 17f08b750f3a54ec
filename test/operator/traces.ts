/** What a machine's network and disk look like, to be compared before curling came and after it has gone. */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';

/** Written by every package manager and shell, whatever is installed. */
const NOT_OURS = /^(var\/(lib\/dpkg|cache|log|lib\/apt)|tmp|root|run|dev|etc\/\.pwd\.lock)(\/|$)/;
/** Counters and times, and what the kernel finds out about other machines by itself. */
const CHANGING = /^(.*_timer|rx|tx|stats64|gc_timer|updated|used|.*forward_transitions)$/;

/** Everything that `ip`, `bridge` and `tc` say about links, ports, addresses, routes and filters. */
export async function network(machine: Machine): Promise<unknown> {
  const said: Record<string, unknown> = {};
  const commands = [
    'ip -json -details link',
    'ip -json address',
    'ip -json route',
    'bridge -json -details link',
    'bridge -json vlan',
    'tc -json qdisc',
  ];
  for (const command of commands) {
    const { output } = await machine.type(command);
    said[command] = stripped(JSON.parse(output.trim() === '' ? '[]' : output));
  }
  return said;
}

function stripped(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stripped);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !CHANGING.test(key));
  return Object.fromEntries(kept.map(([key, one]) => [key, stripped(one)]));
}

/** Every file that was written to the machine's disk, with a digest; a deleted one is a character device here. */
export function disk(machine: Machine): string[] {
  return readdirSync(machine.written, { recursive: true, encoding: 'utf8' })
    .filter(path => !NOT_OURS.test(path))
    .sort()
    .flatMap(path => {
      const file = join(machine.written, path);
      const stat = lstatSync(file);
      if (stat.isDirectory()) return [];
      if (stat.isSymbolicLink()) return [`${path} -> ${readlinkSync(file)}`];
      if (!stat.isFile()) return [`${path} deleted`];
      return [`${path} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`];
    });
}
