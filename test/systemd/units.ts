/** Reads the units of install/systemd. Pure but for the reading: text in, settings out. */
import fs from 'node:fs';

export const FOLDER = 'install/systemd';

/** The daemons, by the file of their unit. */
export const SERVICES = {
  'curling-proxy@.service': 'proxy',
  'curling-coordinator@.service': 'coordinator',
  'curling-coordinator.service': 'coordinator',
  'curling-witness.service': 'witness',
} as const;
export type ServiceFile = keyof typeof SERVICES;

/** The values of each setting, in order. Sections are not told apart: no setting is in two. */
export function settingsOf(file: string): Map<string, string[]> {
  const settings = new Map<string, string[]>();
  for (const line of fs.readFileSync(`${FOLDER}/${file}`, 'utf8').split('\n')) {
    const [, name, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) settings.set(name, [...(settings.get(name) ?? []), value!]);
  }
  return settings;
}

/** The capabilities that a daemon keeps when root starts it, as its program says; sorted. */
export function needed(daemon: string): string[] {
  const source = fs.readFileSync(`${daemon}/main.ts`, 'utf8');
  const list = /NEEDED: readonly Capability\[\] = \[([^\]]*)\]/.exec(source)?.[1] ?? '';
  return [...list.matchAll(/'(\w+)'/g)].map(match => match[1]!).sort();
}

/** The capabilities that a unit leaves its daemon, without their prefix; sorted. */
export function bounded(file: string): string[] {
  const lists = settingsOf(file).get('CapabilityBoundingSet') ?? [];
  const names = lists.flatMap(list => list.split(' ')).filter(Boolean);
  return names.map(name => name.replace(/^CAP_/, '')).sort();
}
