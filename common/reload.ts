/** What a daemon takes over from its configuration while it runs, on SIGHUP; the rest needs a new start. */
import { type Logger, setLogLevel } from './log.ts';
import type { Credentials } from './wire/credentials.ts';

export interface Reloadable {
  logLevel: string;
  credentials: Credentials | undefined;
}

/**
 * Sets the log's level, and the keys of hosts: handshakes from now on know the new ones, connections that stand go on.
 * @returns What was changed, in words.
 */
export function reloadService(log: Logger, running: Reloadable, read: Reloadable): string {
  const words = [setLogLevel(log, read.logLevel)];
  if (running.credentials?.kind === 'keys' && read.credentials?.kind === 'keys') {
    const { keys } = running.credentials;
    keys.clear();
    for (const [host, key] of read.credentials.keys) keys.set(host, key);
    words.push(`keys of ${[...keys.keys()].join(', ')}`);
  }
  return words.join('; ');
}
