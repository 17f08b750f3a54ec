/** A witness's real process with a key file, and hosts that ask it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { loadKeys } from '../../common/wire/credentials.ts';
import { keyLine } from '../../common/wire/keys.ts';
import type { Register } from '../../coordinator/arbitration/register.ts';
import { initStore } from '../../witness/store.ts';
import { freePort, until } from '../coordinator/bench.ts';
import { connect, storePath } from './support.ts';

const MAIN = fileURLToPath(new URL('../../witness/main.js', import.meta.url));

export interface WitnessDaemon {
  child: ChildProcess;
  /** Its key file. */
  keys: string;
  said: () => string;
  /** Writes keys of these hosts; a host has the same one each time. */
  write: (hosts: readonly string[]) => void;
  /** Reads a register as this host, over a connection of its own. */
  read: (host: string) => Promise<Register | null>;
  port: number;
}

/** Lines of a key file; a host has the same key each time. */
export function linesOf(hosts: readonly string[]): string {
  return hosts.map(host => keyLine(host, createHash('sha256').update(host).digest())).join('');
}

/** Starts one and waits until it serves. `flags` come behind those that it needs. */
export async function startWitness(
  t: ExecutionContext,
  hosts: readonly string[],
  environment: Record<string, string> = {},
  flags: readonly string[] = ['--config', 'none'],
): Promise<WitnessDaemon> {
  const store = storePath(t);
  await initStore(store);
  const keys = `${store}.keys`;
  const write = (names: readonly string[]) =>
    fs.writeFileSync(keys, linesOf(names), { mode: 0o600 });
  write(hosts);
  const port = await freePort();
  const listen = ['--listen', `127.0.0.1:${port}`, '--http', 'off'];
  const args = [MAIN, ...listen, '--store', store, '--keys', keys, ...flags];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...environment },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until('it serves', () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${said}`);
    return said.includes('"serving"');
  });
  const read = async (host: string) => {
    const own = `${store}.${host}`;
    fs.writeFileSync(own, linesOf([host]), { mode: 0o600 });
    const credentials = loadKeys(own, host);
    const client = connect(t, { host: '127.0.0.1', port }, { credentials });
    try {
      return await client.read('vm');
    } finally {
      client.close();
    }
  };
  return { child, keys, port, said: () => said, write, read };
}
