/**
 * Lets a program that root started keep only the capabilities that it needs, and all that it starts
 * with it.
 *
 * Capabilities belong to threads, and Node has several before the first line of ours runs, so they
 * cannot simply be given up. Instead the bounding set is cut in the main thread, and the program
 * executes itself once more, with the same pid, arguments and environment: execve(2) gives root what
 * the bounding set has left, and ends all threads but this one. See capabilities(7).
 */
import fs from 'node:fs';
import { messageOf } from './errors.ts';

/** include/uapi/linux/capability.h */
const CAPABILITY = {
  DAC_OVERRIDE: 1,
  KILL: 5,
  SETGID: 6,
  SETUID: 7,
  NET_BIND_SERVICE: 10,
  NET_ADMIN: 12,
  NET_RAW: 13,
  IPC_LOCK: 14,
  SYS_CHROOT: 18,
  SYS_PTRACE: 19,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
  BPF: 39,
} as const;
export type Capability = keyof typeof CAPABILITY;

/** What BPF was a part of before Linux 5.8. */
const CAP_SYS_ADMIN = 21;

/** Set for the second life alone, so that there is no third one. */
const MARK = 'CURLING_CAPABILITIES_CUT';
/** include/uapi/linux/prctl.h */
const PR_CAPBSET_DROP = 24;
/** Of capset(2): two words for each set. */
const CAPABILITY_VERSION_3 = 0x2008_0522;
/** include/uapi/asm-generic/fcntl.h */
const F_SETFD = 2;

/**
 * The numbers of the capabilities in the bounding or permitted set that are not needed.
 * @param status The text of /proc/PID/status.
 */
export function excess(status: string, needed: readonly Capability[]): number[] {
  const has = setIn(status, 'CapBnd') | setIn(status, 'CapPrm') | setIn(status, 'CapInh');
  const keep = new Set<number>(needed.map(name => CAPABILITY[name]));
  if (keep.has(CAPABILITY.BPF) && !((has >> BigInt(CAPABILITY.BPF)) & 1n)) keep.add(CAP_SYS_ADMIN);
  return Array.from({ length: 64 }, (_, number) => number).filter(
    number => (has >> BigInt(number)) & 1n && !keep.has(number),
  );
}

/** Those of the capabilities that are not in the effective set. @param status The text of /proc/PID/status. */
export function missingCapabilities(status: string, needed: readonly Capability[]): Capability[] {
  const has = setIn(status, 'CapEff');
  const hasNumber = (number: number) => ((has >> BigInt(number)) & 1n) === 1n;
  return needed.filter(
    name => !hasNumber(CAPABILITY[name]) && !(name === 'BPF' && hasNumber(CAP_SYS_ADMIN)),
  );
}

function setIn(status: string, name: string): bigint {
  return BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
}

/**
 * Keeps only the capabilities in `needed`. To be called before anything is opened: usually it does
 * not return, and the program begins anew. It does return in the second life, for who is not root,
 * and when it cannot be done.
 * @returns What to warn of.
 */
export async function keepOnly(needed: readonly Capability[]): Promise<string | undefined> {
  const second = process.env[MARK] !== undefined;
  delete process.env[MARK];
  if (process.geteuid?.() !== 0) return undefined;
  const tooMany = excess(fs.readFileSync('/proc/self/status', 'utf8'), needed);
  if (tooMany.length === 0) return undefined;
  const failed = (why: string) => `runs with more capabilities than it needs: ${why}`;
  if (second) return failed('they are still there after they were given up');
  // What a parent has opened for us beside the standard streams would be lost.
  if (process.send) return failed('its parent talks to it');
  try {
    return failed(await beginAnew(tooMany));
  } catch (error) {
    return failed(messageOf(error));
  }
}

/** Returns only when it fails, with the reason. */
async function beginAnew(unneeded: readonly number[]): Promise<string> {
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  const reason = (call: string) => `${call} failed with errno ${koffi.errno()}`;
  const word = 'unsigned long';
  const prctl = libc.func(`int prctl(int, ${word}, ${word}, ${word}, ${word})`);
  for (const number of unneeded)
    if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) return reason('prctl');
  if (!clearInheritable(libc)) return reason('capset');
  const fcntl = libc.func('int fcntl(int, int, int)');
  // Node marks the standard streams to be closed.
  for (const stream of [0, 1, 2]) fcntl(stream, F_SETFD, 0);
  const environment = Object.entries({ ...process.env, [MARK]: '1' });
  const execve = libc.func('int execve(const char *, const char **, const char **)');
  execve(
    process.execPath,
    [process.argv0, ...process.execArgv, ...process.argv.slice(1), null],
    [...environment.map(([name, value]) => `${name}=${value}`), null],
  );
  return reason('execve');
}

/** What is inheritable would survive without the bounding set. The other sets stay as they are. */
function clearInheritable(libc: {
  // biome-ignore lint/suspicious/noExplicitAny: koffi's functions are not typed
  func: (prototype: string) => any;
}): boolean {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(CAPABILITY_VERSION_3);
  const data = Buffer.alloc(24); // twice effective, permitted, inheritable
  if (libc.func('int capget(void *, void *)')(header, data) < 0) return false;
  data.writeUInt32LE(0, 8);
  data.writeUInt32LE(0, 20);
  return libc.func('int capset(void *, const void *)')(header, data) === 0;
}
