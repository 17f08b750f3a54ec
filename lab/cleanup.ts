/**
 * Removes labs. All of it blocks, because it must also work while the process exits, and all of it may be repeated:
 * what is gone already is no error.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { toolEnvironment } from '../common/run.ts';
import { entriesOf, killAll, namespacesWith, pidsIn, pidsWithEnvironment } from './processes.ts';
import {
  LAB_PREFIX,
  labMark,
  labNameOf,
  ownerAlive,
  readRecord,
  recordedLabs,
  removeRecord,
  removeUnfinishedRecords,
} from './record.ts';

const SHM_DIRECTORY = '/dev/shm';

/** Ends every process of the lab `name` and removes its namespaces, links, shared memory and directory. */
export function removeLab(name: string): void {
  const prefix = `${name}-`;
  const namespaces = namespacesWith(prefix);
  killAll(() => [...pidsIn(namespaces), ...pidsWithEnvironment(labMark(name))]);
  if (namespaces.length > 0) {
    // Interfaces, the persistent taps too, go with their namespace.
    const input = namespaces.map(namespace => `netns delete ${namespace}\n`).join('');
    const options = { input, env: toolEnvironment(), timeout: 20_000, stdio: 'pipe' } as const;
    spawnSync('ip', ['-force', '-batch', '-'], options);
  }
  for (const entry of entriesOf(SHM_DIRECTORY).filter(entry => entry.startsWith(prefix)))
    rmSync(`${SHM_DIRECTORY}/${entry}`, { recursive: true, force: true });
  removeRecord(name);
}

/**
 * Removes every lab whose owner is dead, and whatever bears a lab's name without any record. Labs that were kept stay
 * as long as their namespaces do.
 * @returns the names of the labs that were removed
 */
export function sweepLabs(): string[] {
  removeUnfinishedRecords();
  const removed: string[] = [];
  for (const name of labsPresent()) {
    const record = readRecord(name);
    const kept = record?.keep === true && namespacesWith(`${name}-`).length > 0;
    if (record && (kept || ownerAlive(record))) continue;
    removeLab(name);
    removed.push(name);
  }
  return removed;
}

/** The names of all labs of which anything exists: a record, a namespace, shared memory. */
export function labsPresent(): string[] {
  // Records are listed last: a lab made meanwhile shows its record before anything else.
  const pieces = [...namespacesWith(LAB_PREFIX), ...entriesOf(SHM_DIRECTORY)];
  const names = new Set(recordedLabs());
  for (const piece of pieces) {
    const lab = labNameOf(piece);
    if (lab) names.add(lab);
  }
  return [...names].sort();
}

const owned = new Set<string>();
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** From now on the lab is removed however this process ends, except by SIGKILL; then the next sweep does it. */
export function removeAtExit(name: string): void {
  if (owned.size === 0) {
    process.on('exit', removeOwned);
    process.on('uncaughtExceptionMonitor', removeOwned);
    for (const signal of SIGNALS) process.on(signal, onSignal);
  }
  owned.add(name);
}

/** Takes removeAtExit back: the lab was destroyed, or is to stay. */
export function forgetAtExit(name: string): void {
  if (!owned.delete(name) || owned.size > 0) return;
  process.off('exit', removeOwned);
  process.off('uncaughtExceptionMonitor', removeOwned);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

function removeOwned(): void {
  for (const name of owned) removeLab(name);
}

function onSignal(signal: NodeJS.Signals): void {
  removeOwned();
  for (const name of [...owned]) forgetAtExit(name);
  // Someone else who listens decides how the process ends; otherwise it ends as if nobody had listened.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}
