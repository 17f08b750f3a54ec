/** `--dump-config`: what a daemon would be started with, as TOML, and where each value comes from. Pure. */
import type { Setting } from './configured.ts';

/** What only says how to look at the configuration. */
const LEFT_OUT = ['config', 'check-config', 'dump-config', 'help', 'version'];

/** A TOML document with a comment behind each value. Secrets are files' names, so there is nothing to hide. */
export function dumpText(settings: ReadonlyMap<string, Setting>): string {
  const rows = [...settings]
    .filter(([name, { value }]) => value !== undefined && !LEFT_OUT.includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { value, source }]) => [`${name} = ${toml(value)}`, source] as const);
  const width = Math.min(48, Math.max(0, ...rows.map(([text]) => text.length)));
  return rows.map(([text, source]) => `${text.padEnd(width)}  # ${source}\n`).join('');
}

function toml(value: Setting['value']): string {
  if (Array.isArray(value)) return `[${value.map(toml).join(', ')}]`;
  if (typeof value === 'boolean') return String(value);
  if (Number.isSafeInteger(Number(value)) && String(Number(value)) === value) return value;
  // A basic string of TOML has the escapes of JSON.
  return JSON.stringify(value);
}
