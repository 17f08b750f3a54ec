/** What a coordinator is told on its command line. One process cares for one virtual machine on one host. */
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { daemonOptions } from '../common/daemon-options.ts';
import { CurlingError } from '../common/errors.ts';
import { type HttpAddress, httpAddress } from '../common/http/address.ts';
import { logLevel } from '../common/log.ts';
import {
  type CommandLine,
  type CommandSpec,
  requiredText,
  type TcpAddress,
  tcpAddress,
  wholeNumber,
} from '../common/options.ts';
import { type Credentials, WIRE_OPTIONS, wireCredentials } from '../common/wire/credentials.ts';
import { HOST_NAME } from '../common/wire/keys.ts';
import { ETCD_OPTIONS, type EtcdConfig, etcdConfig } from './arbitration/etcd-options.ts';
import { BACKUP_LOSS_POLICIES, type BackupLossPolicy } from './arbitration/host-state.ts';
import { PACK_OPTIONS, type PackOption } from './packing/choice.ts';

export interface CoordinatorConfig {
  vm: string;
  host: string;
  /** `primary`: a QEMU with the guest runs here. `backup`: nothing runs here yet. */
  role: 'primary' | 'backup';
  /** Where the register is: exactly one of these is set. */
  witness: TcpAddress | undefined;
  etcd: EtcdConfig | undefined;
  /** The store that the witness must have; undefined accepts the first one seen. */
  witnessStore: string | undefined;
  /** Whether an absent register may be created (once in the life of a protected machine). */
  create: boolean;
  /** Whether that is all that there is to do. */
  createOnly: boolean;
  proxyPath: string;
  controlPath: string;
  /** The monitor of the guest's QEMU; only with role `primary`. */
  qmpPath: string | undefined;
  /** Where a QEMU with Curling's patches sends its checkpoints; undefined: they are taken from COLO. */
  source: TcpAddress | undefined;
  /** Where senders connect to when this host is the backup. */
  listen: TcpAddress;
  /** Where this host, as a primary, looks for a backup; tried in turn. */
  peers: TcpAddress[];
  /** What this host proves its name with, to witness and peers; undefined: plaintext. */
  credentials: Credentials | undefined;
  runDir: string;
  shadowDir: string;
  /** The guest's QEMU command, for the standby; without it this host cannot be a backup. */
  standbyCommand: string[];
  schedule: {
    mode: 'output' | 'fixed';
    pauseShare: number;
    intervalMaxMs: number;
    idleIntervalMaxMs: number;
    intervalMs: number;
  };
  detection: { silenceMs: number; beatMs: number };
  inFlight: { checkpointsMax: number; bytesMax: number };
  /** The most staging memory, on either side; undefined: by the guest's memory (checkpoint/staging-bound.ts). */
  stagingBytesMax: number | undefined;
  /** For the full copy: how long the guest may stand still at its end, and by how many percent it may be slowed. */
  copy: { downtimeLimitMs: number; throttleMax: number };
  /** Whether checkpoints are packed before they are sent. */
  pack: PackOption;
  /** Whether a full copy is loaded into a spare QEMU before it is acknowledged. */
  trialLoad: boolean;
  /** Exits of the guest that the operator allows although nothing holds them, by the names that a refusal gives. */
  allowUnheld: string[];
  /** What this host does with the guest's output when it has no backup. */
  onBackupLoss: BackupLossPolicy;
  /** One of them must answer before a grant is asked for; none: nothing is asked of anybody. */
  gateways: string[];
  /** Where metrics and the status page are served; undefined: nowhere. */
  http: HttpAddress | undefined;
  /** Where the operator's hooks are; undefined: none are run. */
  hooksFolder: string | undefined;
  /** The most that one run of one hook may take. */
  hookTimeoutMs: number;
  logLevel: string;
}

const CURLING = 'curling:';

export const COORDINATOR: CommandSpec = {
  program: 'curling-coordinator',
  usage:
    '[create] --vm NAME [--role ROLE] [options] [-- QEMU-COMMAND…]\n       curling-coordinator --all [options]',
  summary:
    'Protects virtual machines: takes, replicates and commits their checkpoints, and fails over.',
  options: {
    vm: { type: 'string', value: 'NAME', flagOnly: true, help: 'the virtual machine' },
    all: {
      type: 'boolean',
      flagOnly: true,
      help: 'every machine that has a file vm/NAME.toml, each in a thread of its own',
    },
    host: { type: 'string', value: 'NAME', help: "this host's name (default: its host name)" },
    role: {
      type: 'string',
      value: 'ROLE',
      default: 'backup',
      flagOnly: true,
      help: 'backup: its QEMU runs here if it did before; primary: it does, see --qmp',
    },
    witness: { type: 'string', value: 'HOST:PORT', help: 'the witness' },
    ...ETCD_OPTIONS,
    'witness-store': { type: 'string', value: 'ID', help: 'the store that the witness must have' },
    create: {
      type: 'boolean',
      flagOnly: true,
      help: "create the machine's register: its very first protection",
    },
    qmp: { type: 'string', value: 'PATH', help: "monitor of the guest's QEMU (role primary)" },
    source: {
      type: 'string',
      value: 'SOURCE',
      default: 'colo',
      help: 'where checkpoints come from: colo, or curling:HOST:PORT (QEMU with the patches of 2013)',
    },
    tap: { type: 'string', value: 'TAP', multiple: true, help: "the guest's taps, as its proxy's" },
    proxy: {
      type: 'string',
      value: 'PATH',
      help: "the proxy's control socket (default: that of the first --tap)",
    },
    control: { type: 'string', value: 'PATH', help: 'own control socket' },
    listen: { type: 'string', value: 'HOST:PORT', help: 'where a primary may connect' },
    peer: {
      type: 'string',
      value: 'HOST:PORT',
      multiple: true,
      help: 'a possible backup; may be repeated',
    },
    ...WIRE_OPTIONS,
    'run-dir': { type: 'string', value: 'DIR', help: 'sockets (default /run/curling/VM)' },
    'shadow-dir': {
      type: 'string',
      value: 'DIR',
      help: 'shadow RAM (default /dev/shm/curling/VM)',
    },
    'pause-share': {
      type: 'string',
      value: 'PERCENT',
      default: '20',
      help: 'time the guest may be stopped',
    },
    'interval-max': {
      type: 'string',
      value: 'MS',
      default: '1000',
      help: 'longest time between checkpoints',
    },
    'idle-interval-max': {
      type: 'string',
      value: 'MS',
      default: '5000',
      help: 'the same of a guest that says and does nothing',
    },
    'fixed-interval': { type: 'string', value: 'MS', help: 'a checkpoint every MS instead' },
    detection: {
      type: 'string',
      value: 'MS',
      default: '300',
      help: 'silence that means a lost peer',
    },
    beat: { type: 'string', value: 'MS', default: '50', help: 'heart beat' },
    'in-flight': {
      type: 'string',
      value: 'N',
      default: '4',
      help: 'unacknowledged checkpoints at most',
    },
    'in-flight-mib': { type: 'string', value: 'MIB', default: '256', help: 'their bytes at most' },
    'staging-mib': {
      type: 'string',
      value: 'MIB',
      help: "staging memory at most (default: 1.5 times the guest's memory, 64 at least)",
    },
    pack: {
      type: 'string',
      value: 'WHEN',
      default: 'auto',
      help: 'send changed parts, compressed: auto (when the link is slow), never, always',
    },
    'copy-pause': {
      type: 'string',
      value: 'MS',
      default: '300',
      help: 'longest stop of the guest at the end of a full copy',
    },
    'copy-throttle': {
      type: 'string',
      value: 'PERCENT',
      default: '0',
      help: 'slow a guest by so much at most that writes faster than it is copied',
    },
    'no-trial-load': { type: 'boolean', help: 'acknowledge full copies without loading them once' },
    'allow-unheld': {
      type: 'string',
      value: 'NAME',
      multiple: true,
      help: 'protect although this device is not held; may be repeated',
    },
    'on-backup-loss': {
      type: 'string',
      value: 'POLICY',
      default: 'continue',
      help: 'continue: run on unprotected; hold: run on, but say nothing until there is a backup',
    },
    gateway: {
      type: 'string',
      value: 'IP',
      multiple: true,
      help: 'must answer a ping before a grant is asked for; repeated: any one',
    },
    hooks: {
      type: 'string',
      value: 'DIR',
      default: '/etc/curling/hooks.d',
      help: 'programs to run on every event; none: none',
    },
    'hook-timeout': {
      type: 'string',
      value: 'MS',
      default: '10000',
      help: 'a hook is ended after this',
    },
    ...daemonOptions(7710),
  },
  notes: [
    'create --vm NAME makes the register of a machine that runs here, its very first protection, and ends.',
    "What follows -- is the guest's QEMU command as on the primary, without its monitor: the standby is",
    'started with it.',
  ],
};

/**
 * The configuration that a command line says.
 * @throws CurlingError CURLING_USAGE naming the option, what was expected and what came.
 */
export function coordinatorConfig(line: CommandLine): CoordinatorConfig {
  const value = line.values;
  const vm = named('vm', requiredText('vm', value.vm));
  const role = requiredText('role', value.role);
  if (role !== 'primary' && role !== 'backup') {
    throw new CurlingError('CURLING_USAGE', `--role: expected primary or backup, got ${role}`);
  }
  const createOnly = isCreate(line.positionals);
  const needsGuest = createOnly || role === 'primary';
  const qmpPath = needsGuest ? requiredText('qmp', value.qmp) : undefined;
  if (!needsGuest && line.rest.length === 0) {
    throw new CurlingError(
      'CURLING_USAGE',
      'a backup needs the QEMU command of its standby after --',
    );
  }
  const runDir = text(value['run-dir']) ?? `/run/curling/${vm}`;
  const fixed = text(value['fixed-interval']);
  const detectionMs = wholeNumber('detection', value.detection, 20, 60_000);
  const host = named('host', text(value.host) ?? os.hostname());
  const register = registerOf(line);
  const listen = tcpAddress('listen', requiredText('listen', value.listen));
  const peers = ((value.peer as string[] | undefined) ?? []).map(peer => tcpAddress('peer', peer));
  const addresses = [
    ...(register.witness ? [['witness', register.witness] as const] : []),
    ['listen', listen] as const,
    ...peers.map(peer => ['peer', peer] as const),
  ];
  return {
    vm,
    host,
    role,
    ...register,
    witnessStore: text(value['witness-store']),
    create: value.create === true,
    createOnly,
    proxyPath: text(value.proxy) ?? proxyOf(value.tap),
    controlPath: text(value.control) ?? path.join(runDir, 'coordinator.sock'),
    qmpPath,
    source: sourceOf(text(value.source)),
    listen,
    peers,
    credentials: wireCredentials(value, { host, addresses }),
    runDir,
    shadowDir: text(value['shadow-dir']) ?? `/dev/shm/curling/${vm}`,
    standbyCommand: line.rest,
    schedule: {
      mode: fixed === undefined ? 'output' : 'fixed',
      pauseShare: wholeNumber('pause-share', value['pause-share'], 1, 90) / 100,
      intervalMaxMs: wholeNumber('interval-max', value['interval-max'], 10, 60_000),
      idleIntervalMaxMs: wholeNumber('idle-interval-max', value['idle-interval-max'], 10, 60_000),
      intervalMs: fixed === undefined ? 0 : wholeNumber('fixed-interval', fixed, 1, 60_000),
    },
    detection: {
      silenceMs: detectionMs,
      beatMs: wholeNumber('beat', value.beat, 5, Math.floor(detectionMs / 4)),
    },
    inFlight: {
      checkpointsMax: wholeNumber('in-flight', value['in-flight'], 1, 64),
      bytesMax: wholeNumber('in-flight-mib', value['in-flight-mib'], 1, 65_536) * 2 ** 20,
    },
    stagingBytesMax: stagingBytes(text(value['staging-mib'])),
    copy: {
      downtimeLimitMs: wholeNumber('copy-pause', value['copy-pause'], 10, 60_000),
      throttleMax: wholeNumber('copy-throttle', value['copy-throttle'], 0, 99),
    },
    pack: packOption(text(value.pack)),
    trialLoad: value['no-trial-load'] !== true,
    allowUnheld: (value['allow-unheld'] as string[] | undefined) ?? [],
    onBackupLoss: policy(text(value['on-backup-loss'])),
    gateways: ((value.gateway as string[] | undefined) ?? []).map(gateway),
    http: httpAddress(value.http),
    hooksFolder: value.hooks === 'none' ? undefined : requiredText('hooks', value.hooks),
    hookTimeoutMs: wholeNumber('hook-timeout', value['hook-timeout'], 100, 600_000),
    logLevel: logLevel(value['log-level']),
  };
}

function isCreate(words: readonly string[]): boolean {
  if (words.length === 0) return false;
  if (words.length === 1 && words[0] === 'create') return true;
  const text = `expected create or nothing, got ${words.join(' ')}; the QEMU command stands after --`;
  throw new CurlingError('CURLING_USAGE', text);
}

/** The control socket that the proxy of these taps has by default. */
function proxyOf(taps: unknown): string {
  const [first] = (taps as string[] | undefined) ?? [];
  if (first !== undefined) return `/run/curling/proxy-${first}.sock`;
  throw new CurlingError('CURLING_USAGE', "--proxy is required, or --tap, the guest's taps");
}

/** Where the register is. */
function registerOf({ values }: CommandLine): Pick<CoordinatorConfig, 'witness' | 'etcd'> {
  const etcd = etcdConfig(values);
  if (etcd === undefined && values.witness === undefined)
    throw new CurlingError('CURLING_USAGE', '--witness HOST:PORT or --etcd URL is required');
  if (etcd && values.witness !== undefined)
    throw new CurlingError('CURLING_USAGE', 'expected --witness or --etcd, got both');
  if (etcd) return { witness: undefined, etcd };
  return { witness: tcpAddress('witness', requiredText('witness', values.witness)), etcd };
}

/** Undefined for COLO. */
function sourceOf(given: string | undefined): TcpAddress | undefined {
  if (given === 'colo') return undefined;
  if (given?.startsWith(CURLING)) return tcpAddress('source', given.slice(CURLING.length));
  const text = `--source: expected colo or ${CURLING}HOST:PORT, got ${given}`;
  throw new CurlingError('CURLING_USAGE', text);
}

function stagingBytes(given: string | undefined): number | undefined {
  return given === undefined
    ? undefined
    : wholeNumber('staging-mib', given, 2, 1_048_576) * 2 ** 20;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function packOption(given: string | undefined): PackOption {
  const found = PACK_OPTIONS.find(name => name === given);
  if (found) return found;
  const expected = PACK_OPTIONS.join(' or ');
  throw new CurlingError('CURLING_USAGE', `--pack: expected ${expected}, got ${given}`);
}

function policy(given: string | undefined): BackupLossPolicy {
  const found = BACKUP_LOSS_POLICIES.find(name => name === given);
  if (found) return found;
  const expected = BACKUP_LOSS_POLICIES.join(' or ');
  throw new CurlingError('CURLING_USAGE', `--on-backup-loss: expected ${expected}, got ${given}`);
}

function gateway(address: string): string {
  // One spelling: an answer is known by the address that it comes from.
  if (net.isIPv6(address) && !address.includes('%'))
    return new URL(`http://[${address}]`).hostname.slice(1, -1);
  if (net.isIPv4(address)) return address;
  const got = JSON.stringify(address);
  throw new CurlingError(
    'CURLING_USAGE',
    `--gateway: expected an IP address without a zone, got ${got}`,
  );
}

function named(option: string, name: string): string {
  if (HOST_NAME.test(name)) return name;
  const expected = '1 to 64 letters, digits, dots, dashes or underscores';
  throw new CurlingError(
    'CURLING_USAGE',
    `--${option}: expected ${expected}, got ${JSON.stringify(name)}`,
  );
}
