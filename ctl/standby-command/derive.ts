/**
 * The command of a standby, from that of a QEMU which runs: the same devices and addresses, less what belongs to that one
 * process. Pure.
 *
 *   left away   monitors and their channels, -incoming, -S, -no-shutdown, -daemonize, -pidfile, -D, -gdb, -loadvm; the
 *               main memory, which curling gives the standby itself; libvirt's master key
 *   named       a tap that was handed over open (fd=)
 *   made whole  paths of kernel, firmware and the like that are relative
 *
 * Options are those of qemu(1), with one hyphen or two.
 */
import path from 'node:path';

/** What is known of a running QEMU. */
export interface QemuFacts {
  argv: readonly string[];
  /** Where its relative paths begin. */
  cwd: string;
  /** Names of taps by the descriptor that it has open. */
  taps: ReadonlyMap<number, string>;
}

export interface StandbyCommand {
  command: string[];
  /** What an operator has to see to, one line each. */
  warnings: string[];
}

/** Options with a value that only this process had. */
const OWN = new Set([
  ...['qmp', 'qmp-pretty', 'monitor', 'mon', 'incoming', 'pidfile', 'D', 'gdb', 'loadvm'],
]);
const OWN_FLAGS = new Set(['S', 's', 'no-shutdown', 'daemonize']);
/** Options whose value is a path. */
const PATHS = new Set(['kernel', 'initrd', 'dtb', 'bios', 'cdrom', 'pflash', 'hda', 'hdb', 'fda']);
const NETWORKS = new Set(['netdev', 'nic', 'net']);
/** Options that listen somewhere. */
const SCREENS = new Set(['vnc', 'spice']);
const MASTER_KEY = 'masterKey0';

interface Word {
  option: string;
  /** As it was written. */
  written: string;
  value: string | undefined;
}

export function standbyCommandOf({ argv, cwd, taps }: QemuFacts): StandbyCommand {
  const [program = '', ...rest] = argv;
  const words = wordsOf(rest);
  const memory = words
    .filter(({ option }) => option === 'machine' || option === 'M')
    .map(({ value }) => memberOf(value ?? '', 'memory-backend'))
    .find(Boolean);
  const monitors = new Set(
    words.filter(({ option }) => option === 'mon').map(({ value }) => channelOf(value ?? '')),
  );
  const warnings = new Set<string>();
  const command = [program.includes('/') ? path.resolve(cwd, program) : program];
  for (const word of words) {
    const { option, written, value } = word;
    if (OWN.has(option) || OWN_FLAGS.has(option)) continue;
    const id = value === undefined ? undefined : memberOf(value, 'id');
    if (option === 'chardev' && id !== undefined && monitors.has(id)) continue;
    if (option === 'object' && (id === MASTER_KEY || (id !== undefined && id === memory))) continue;
    if (value === undefined) command.push(written);
    else command.push(written, standbyValue(option, value, { cwd, taps, warnings }));
  }
  return { command, warnings: [...warnings] };
}

/** An operator's file has it so: one word a line, as the TOML key `command`. */
export function tomlOf(command: readonly string[]): string {
  const lines = command.map(word => `  ${JSON.stringify(word).replaceAll('\u007f', '\\u007f')},\n`);
  return `command = [\n${lines.join('')}]\n`;
}

interface Surroundings {
  cwd: string;
  taps: ReadonlyMap<number, string>;
  warnings: Set<string>;
}

function standbyValue(
  option: string,
  value: string,
  { cwd, taps, warnings }: Surroundings,
): string {
  if (value.includes('/dev/fdset/'))
    warnings.add(`-${option} ${value}: the file was handed over open; write its path instead`);
  if (SCREENS.has(option))
    warnings.add(`-${option} ${value}: the standby listens there on the other host too`);
  if (option === 'cpu' && /^(host|max)\b/.test(value))
    warnings.add(
      `-cpu ${value}: fits only if the processors of both hosts are the same; name a model otherwise`,
    );
  if (PATHS.has(option)) {
    const whole = path.resolve(cwd, value);
    warnings.add(`${whole} (-${option}) must be the same file on the other host`);
    return whole;
  }
  if (['drive', 'blockdev', 'fsdev'].includes(option)) {
    const file = memberOf(value, 'file') ?? memberOf(value, 'filename') ?? memberOf(value, 'path');
    if (file)
      warnings.add(`${path.resolve(cwd, file)} (-${option}) must be there on the other host`);
    if (file && !path.isAbsolute(file))
      warnings.add(`-${option} ${value}: its path begins at ${cwd}; write it whole`);
  }
  return NETWORKS.has(option) ? networkOf(option, value, taps, warnings) : value;
}

/** A tap by its name, instead of a number that means something to that QEMU alone. */
function networkOf(
  option: string,
  value: string,
  taps: ReadonlyMap<number, string>,
  warnings: Set<string>,
): string {
  if (memberOf(value, 'fds') !== undefined) {
    warnings.add(
      `-${option} ${value}: curling holds cards with one queue; give it one, and name its tap`,
    );
    return value;
  }
  const fd = memberOf(value, 'fd');
  const tap = fd === undefined ? memberOf(value, 'ifname') : taps.get(Number(fd));
  if (tap === undefined) {
    if (fd !== undefined)
      warnings.add(`-${option} ${value}: no tap is open as ${fd}; write ifname=TAP instead`);
    return value;
  }
  warnings.add(
    `tap ${tap} must be there on the other host, with a proxy; write its name there if it is another one`,
  );
  if (fd === undefined) return value;
  const id = memberOf(value, 'id');
  const words = ['tap', ...(id === undefined ? [] : [`id=${id}`]), `ifname=${tap}`];
  return [...words, 'script=no', 'downscript=no', 'vhost=off'].join(',');
}

/** Options with their values: a value is a word that follows and is no option itself. */
function wordsOf(argv: readonly string[]): Word[] {
  const words: Word[] = [];
  for (let at = 0; at < argv.length; at++) {
    const written = argv[at]!;
    const option = /^--?([A-Za-z].*)$/.exec(written)?.[1] ?? '';
    const next = argv[at + 1];
    const mayTake = option !== '' && !OWN_FLAGS.has(option) && next !== undefined;
    const takes = mayTake && (option === 'append' || !/^--?[A-Za-z]/.test(next));
    words.push({ option, written, value: takes ? next : undefined });
    if (takes) at++;
  }
  return words;
}

/** The channel of a -mon: its member `chardev`, or its first word without a name. */
function channelOf(value: string): string | undefined {
  return memberOf(value, 'chardev') ?? /^[^,=]+/.exec(value)?.[0];
}

/** A member of a list of QEMU's, in which two commas are one that is meant, or of JSON. */
function memberOf(value: string, key: string): string | undefined {
  if (value.startsWith('{')) return jsonMember(value, key);
  const found = value.split(/(?<!,),(?!,)/).find(word => word.startsWith(`${key}=`));
  return found?.slice(key.length + 1).replaceAll(',,', ',');
}

function jsonMember(value: string, key: string): string | undefined {
  try {
    const member = (JSON.parse(value) as Record<string, unknown>)[key];
    return member === undefined ? undefined : String(member);
  } catch {
    return undefined;
  }
}
