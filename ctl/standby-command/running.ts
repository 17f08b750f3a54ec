/** A QEMU that runs on this host, as /proc shows it (proc_pid_cmdline(5), proc_pid_fdinfo(5), proc_net(5)). */
import fs from 'node:fs';
import path from 'node:path';
import { CurlingError, messageOf } from '../../common/errors.ts';
import type { QemuFacts } from './derive.ts';

/** SS_UNCONNECTED with this flag: a socket that listens (__SO_ACCEPTCON in /proc/net/unix). */
const LISTENS = '00010000';

/**
 * The process that listens on a unix socket.
 * @throws CurlingError CURLING_CONNECT when there is none, or it cannot be looked at
 */
export function listenerOf(socket: string): number {
  const wanted = new Set([socket, path.resolve(socket)]);
  const inodes = new Set(
    fs
      .readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map(line => line.trim().split(/\s+/))
      .filter(([, , , flags, , , , name]) => flags === LISTENS && wanted.has(name ?? ''))
      .map(columns => `socket:[${columns[6]}]`),
  );
  const holders = fs
    .readdirSync('/proc')
    .map(Number)
    .filter(pid => pid > 0 && descriptorsOf(pid).some(link => inodes.has(link)));
  if (holders.length > 0) return holders[0]!;
  const text = `expected a process that listens on ${socket}, found none; name it with --pid, and run this as root`;
  throw new CurlingError('CURLING_CONNECT', text);
}

/**
 * What a running QEMU was told.
 * @throws CurlingError CURLING_CONNECT when there is no such process, it is no QEMU, or it cannot be looked at
 */
export function factsOf(pid: number): QemuFacts {
  const folder = `/proc/${pid}`;
  try {
    const argv = fs.readFileSync(`${folder}/cmdline`, 'utf8').split('\0').slice(0, -1);
    if (!/qemu/.test(path.basename(argv[0] ?? ''))) {
      const text = `expected a QEMU as process ${pid}, got ${argv[0] ?? 'one without a command'}`;
      throw new CurlingError('CURLING_CONNECT', text);
    }
    return { argv, cwd: fs.readlinkSync(`${folder}/cwd`), taps: tapsOf(folder) };
  } catch (error) {
    if (error instanceof CurlingError) throw error;
    const text = `process ${pid} cannot be looked at: ${messageOf(error)}`;
    throw new CurlingError('CURLING_CONNECT', text, { cause: error });
  }
}

function tapsOf(folder: string): Map<number, string> {
  const taps = new Map<number, string>();
  for (const fd of fs.readdirSync(`${folder}/fdinfo`)) {
    const name = /^iff:\s*(\S+)/m.exec(readOr(`${folder}/fdinfo/${fd}`))?.[1];
    if (name !== undefined) taps.set(Number(fd), name);
  }
  return taps;
}

/** Empty when it was closed meanwhile. */
function readOr(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function descriptorsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return fs.readdirSync(folder).map(fd => fs.readlinkSync(`${folder}/${fd}`));
  } catch {
    return []; // It ended meanwhile, or is another user's.
  }
}
