/**
 * The test guest in an unmodified QEMU under TCG. The two workarounds that TCG needs for COLO are here and nowhere
 * else; with KVM none is needed.
 */
import type { ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../common/errors.ts';
import { GUEST_ADDRESS, PREFIX_LENGTH, SECOND_GUEST_ADDRESS } from './addresses.ts';
import type { GuestImage } from './image.ts';
import type { LabHost } from './node.ts';
import { cardArguments, type GuestShape, kernelWords, machineArguments } from './shape.ts';

/**
 * Workaround 1, for TCG and QEMU before 9.0: 128 MiB less 8 KiB. TCG forgets to watch for dirty pages in a RAM block
 * whose size is a multiple of 256 KiB, and the copy silently diverges.
 */
export const TCG_SAFE_RAM_BYTES = 134_209_536;
const TCG_UNSAFE_RAM_STEP_BYTES = 256 << 10;

export interface GuestOptions extends GuestShape {
  image: GuestImage;
  /** Bytes of RAM. Default TCG_SAFE_RAM_BYTES; never a multiple of 256 KiB. */
  ramBytes?: number;
  /** Default 1. */
  cpus?: number;
  /** Words for the guest's workload program, without commas and blanks. Default none. */
  workload?: readonly string[];
  /** The guest's address on the LAN. Default 10.77.0.2. A second card has 10.79.0.2. */
  address?: string;
  /** Further words for the guest's kernel. */
  kernelWords?: readonly string[];
  /** Whether there is a second monitor, at senderMonitorOf, for what stands in for Curling's patches (lab/curling). */
  senderMonitor?: boolean;
}

export interface Guest {
  /** QEMU itself. */
  process: ChildProcess;
  /** The QMP socket, free for the coordinator. */
  qmpPath: string;
  /** What the guest writes to its console. */
  serialPath: string;
  /** From QEMU's start to `workload ready`, in ms. */
  bootMs: number;
}

export interface StartOptions extends GuestOptions {
  /** Default `<runDir>/qmp.sock`. */
  qmpPath?: string;
  /** Default 120,000. */
  readyMsMax?: number;
}

/** What the workload prints when all its ports are open. */
const READY = /^workload ready\r?$/m;
const READY_MS_MAX = 120_000;
const POLL_MS = 20;
const CONSOLE_BYTES_MAX = 4 << 20;

/**
 * For a quick boot under TCG (3 s down to under 2): no calibration, no mitigations, no self-tests, one serial port. `panic=-1` and QEMU's `-no-reboot` make a dead guest visible at once.
 */
const KERNEL_WORDS = [
  'console=ttyS0 quiet panic=-1',
  'ipv6.disable=1 mitigations=off nokaslr audit=0 apparmor=0 nowatchdog',
  'tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests 8250.nr_uarts=1',
];

/** Where a guest runs: a host of its own, or one that it shares (fleet.ts). */
export type GuestPlace = Pick<LabHost, 'namespace' | 'runDir' | 'taps' | 'spawn' | 'logPath'>;

/** The serial log of a host's guest. Appended to, by each QEMU of this host. */
export function serialPathOf(host: GuestPlace): string {
  return join(host.runDir, 'serial.log');
}

/** The monitor of a host's guest that is not its coordinator's. */
export function senderMonitorOf(host: Pick<LabHost, 'runDir'>): string {
  return join(host.runDir, 'sender.qmp');
}

/**
 * The whole command for a guest on `host`, with a card on each of the host's taps and without any disk: as it stands, a
 * coordinator can use it as its standby command, and append -incoming and the memory backend.
 */
export function guestArguments(host: GuestPlace, options: GuestOptions): string[] {
  const ramBytes = options.ramBytes ?? TCG_SAFE_RAM_BYTES;
  if (ramBytes % TCG_UNSAFE_RAM_STEP_BYTES === 0) {
    const text = `a guest of ${ramBytes} bytes: under TCG, RAM must not be a multiple of 256 KiB`;
    throw new CurlingError('CURLING_USAGE', text);
  }
  return [
    // Workaround 2, for TCG: a lock that COLO would leave locked (workaround/cond-wait.c).
    ...['env', `LD_PRELOAD=${options.image.condWait}`],
    ...['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    // rdrand gives the guest's random numbers at once.
    ...machineArguments(options, ramBytes),
    ...['-accel', 'tcg', '-cpu', 'qemu64,+rdrand'],
    ...['-smp', String(options.cpus ?? 1), '-m', `${ramBytes}B`],
    ...['-kernel', options.image.kernel, '-initrd', options.image.initrd],
    ...['-append', kernelCommandLine(options, host.taps.length)],
    ...['-chardev', `file,id=serial0,path=${serialPathOf(host)},append=on`],
    ...['-serial', 'chardev:serial0'],
    ...cardArguments(options, host.taps),
    ...(options.senderMonitor ? ['-qmp', `unix:${senderMonitorOf(host)},server=on,wait=off`] : []),
  ];
}

function kernelCommandLine(options: GuestOptions, cards: number): string {
  const workload = options.workload ?? [];
  const bad = workload.find(word => /[\s,]/.test(word));
  if (bad !== undefined)
    throw new CurlingError('CURLING_USAGE', `workload word ${JSON.stringify(bad)}: has , or blank`);
  const addresses = [options.address ?? GUEST_ADDRESS, SECOND_GUEST_ADDRESS]
    .slice(0, cards)
    .map(address => `${address}/${PREFIX_LENGTH}`);
  return [
    ...KERNEL_WORDS,
    kernelWords(options),
    `curling.address=${addresses.join('+')}`,
    `curling.workload=${workload.join(',')}`,
    ...(options.kernelWords ?? []),
  ].join(' ');
}

/**
 * Starts a guest on `host` with a QMP socket and resolves when its workload is ready.
 * @throws CurlingError CURLING_QEMU_START when QEMU ends before, or the guest is not ready in time; the message ends
 *   with the last lines of QEMU's stderr and of the guest's console
 */
export async function startGuest(host: GuestPlace, options: StartOptions): Promise<Guest> {
  const qmpPath = options.qmpPath ?? join(host.runDir, 'qmp.sock');
  const serialPath = serialPathOf(host);
  const from = statSync(serialPath, { throwIfNoEntry: false })?.size ?? 0;
  const [program, ...args] = guestArguments(host, options);
  args.push('-qmp', `unix:${qmpPath},server=on,wait=off`);
  const startedMs = performance.now();
  const process = host.spawn(program!, args, { log: 'qemu' });
  const failed = await untilReady(process, serialPath, from, options.readyMsMax ?? READY_MS_MAX);
  if (failed !== undefined) {
    process.kill('SIGKILL');
    const said = [host.logPath('qemu'), serialPath].map(lastLines).join('\n');
    throw new CurlingError('CURLING_QEMU_START', `guest on ${host.namespace}: ${failed}\n${said}`);
  }
  return { process, qmpPath, serialPath, bootMs: performance.now() - startedMs };
}

/** Resolves with undefined when the guest is ready, otherwise with what went wrong. */
async function untilReady(
  process: ChildProcess,
  serialPath: string,
  from: number,
  readyMsMax: number,
): Promise<string | undefined> {
  const deadlineMs = performance.now() + readyMsMax;
  for (;;) {
    if (READY.test(readFrom(serialPath, from))) return undefined;
    if (process.exitCode !== null || process.signalCode !== null)
      return `QEMU ended with ${process.signalCode ?? `status ${process.exitCode}`}`;
    if (performance.now() > deadlineMs) return `not ready within ${readyMsMax} ms`;
    await sleep(POLL_MS);
  }
}

/** A file's content from an offset on, at most 4 MiB; empty when it does not exist. */
function readFrom(path: string, offset: number): string {
  if (!statSync(path, { throwIfNoEntry: false })) return '';
  const file = openSync(path, 'r');
  try {
    const length = Math.min(Math.max(0, fstatSync(file).size - offset), CONSOLE_BYTES_MAX);
    const buffer = Buffer.alloc(length);
    return buffer.toString('latin1', 0, readSync(file, buffer, 0, length, offset));
  } finally {
    closeSync(file);
  }
}

function lastLines(path: string): string {
  if (!statSync(path, { throwIfNoEntry: false })) return `${path}: missing`;
  const lines = readFileSync(path, 'latin1').trimEnd().split(/\r?\n/);
  return `${path}:\n${lines.slice(-8).join('\n')}`;
}
