/** What a daemon takes over from its configuration while it runs, on SIGHUP; the rest needs a new start. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from './log.ts';
import type { Credentials } from './wire/credentials.ts';

export interface Reloadable {
  logLevel: string;
  credentials?: Credentials | undefined;
}

/**
 * Sets the log's level, and the keys of hosts: handshakes from now on know the new ones, connections that stand go on.
 * @returns What was changed, in words.
 */
export function reloadService(log: Logger, running: Reloadable, read: Reloadable): string {
  const words = [...setLogLevel(log, read.logLevel), ...setKeys(running, read)];
  return reloadText(words);
}

/** What a reload has changed, in words; of nothing it says so. */
export function reloadText(words: readonly string[]): string {
  return words.join('; ') || 'nothing has changed';
}

/** Sets another level. @returns What was changed, in words; empty: it is the one that there was. */
export function setLogLevel(log: Logger, level: string): string[] {
  if (log.level === level) return [];
  log.level = level;
  return [`the log's level is ${level}`];
}

function setKeys(running: Reloadable, read: Reloadable): string[] {
  if (running.credentials?.kind !== 'keys' || read.credentials?.kind !== 'keys') return [];
  const { keys } = running.credentials;
  if (isDeepStrictEqual(keys, read.credentials.keys)) return [];
  keys.clear();
  for (const [host, key] of read.credentials.keys) keys.set(host, key);
  return [`keys of ${[...keys.keys()].join(', ') || 'no host'}`];
}
