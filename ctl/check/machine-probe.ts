/** Looks at what a machine needs of this host, for machine.ts. Changes nothing, here or elsewhere. */
import fs from 'node:fs';
import path from 'node:path';
import { asCurlingError, type ErrorCode } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { toolEnvironment } from '../../common/run.ts';
import { describeAddress } from '../../common/socket-address.ts';
import { connectWire } from '../../common/wire/client.ts';
import type { Credentials } from '../../common/wire/credentials.ts';
import { openRegister } from '../../coordinator/arbitration/backend.ts';
import { ownerText } from '../../coordinator/arbitration/register.ts';
import type { CoordinatorConfig } from '../../coordinator/config.ts';
import { headline } from '../../coordinator/headline.ts';
import { checkHoldable } from '../../coordinator/qemu/checks.ts';
import { queryObject } from '../../coordinator/qemu/qmp-queries.ts';
import { askAll } from '../sockets.ts';
import { filesOf, memoryOf } from './command-line.ts';
import type { MachineFacts, Outcome } from './machine.ts';

/** statfs(2), include/uapi/linux/magic.h */
const MEMORY_FILE_SYSTEMS = new Set([0x01021994 /* tmpfs */, 0x958458f6 /* hugetlbfs */]);
const ANSWER_MS = 2_000;

/** A machine as it is configured. */
export interface ConfiguredMachine {
  config: CoordinatorConfig;
  /** The guest's, as its file names them. */
  taps: readonly string[];
  /** Where the guest's monitor is when it runs here; undefined: it is not said. */
  qmpPath: string | undefined;
}

export async function probeMachine(machine: ConfiguredMachine): Promise<MachineFacts> {
  const { config, taps } = machine;
  const { vm, standbyCommand, credentials } = config;
  const [program = '', ...words] = standbyCommand;
  const files = filesOf(words);
  const [coordinator, proxy, peers, register] = await Promise.all([
    coordinatorOutcome(config.controlPath),
    proxyOutcome(config.proxyPath),
    Promise.all(config.peers.map(address => peerOutcome(address, credentials))),
    registerOutcome(config),
  ]);
  const guest = coordinator.code === undefined ? {} : await guestOutcome(machine);
  return {
    vm,
    files: files.length,
    filesMissing: [
      ...(isProgram(program) ? [] : [program]),
      ...files.filter(file => !readable(file)),
    ],
    memoryBytes: memoryOf(words),
    shadow: shadowOf(config.shadowDir),
    coordinator,
    proxy: { ...proxy, unit: `curling-proxy@${taps[0] ?? 'TAP'}` },
    monitor: guest.monitor,
    holdable: guest.holdable,
    peers,
    store: config.witnessStore,
    ...register,
  };
}

function failed(error: unknown, code: ErrorCode = 'CURLING_CONNECT'): Outcome {
  const known = asCurlingError(error, code);
  return { found: known.message, code: known.code };
}

function readable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function isProgram(name: string): boolean {
  if (name.includes('/')) return readable(name);
  const folders = (toolEnvironment().PATH ?? '').split(':');
  return name !== '' && folders.some(folder => readable(path.join(folder, name)));
}

/** What a store that is there takes already counts as free: a new copy replaces it. */
function shadowOf(dir: string): MachineFacts['shadow'] {
  let existing = dir;
  while (!fs.existsSync(existing)) existing = path.dirname(existing);
  const { bavail, bsize, type } = fs.statfsSync(existing);
  const own = fs.existsSync(dir)
    ? fs.readdirSync(dir).map(name => fs.statSync(path.join(dir, name)).blocks * 512)
    : [];
  const freeBytes = bavail * bsize + own.reduce((sum, bytes) => sum + bytes, 0);
  return { dir, isMemory: MEMORY_FILE_SYSTEMS.has(type), freeBytes };
}

async function coordinatorOutcome(socket: string): Promise<Outcome> {
  const [answer] = await askAll([socket]);
  if (!answer?.status) return { found: 'does not run', code: 'CURLING_CONNECT' };
  return { found: `${headline(answer.status).word}: ${answer.status.reason}` };
}

async function proxyOutcome(socket: string): Promise<Outcome> {
  try {
    const client = await QmpClient.connect(socket, { connectTimeoutMs: ANSWER_MS });
    try {
      const status = await queryObject(client, 'query-status');
      return { found: `answers, and is in ${status.state}` };
    } finally {
      client.close();
    }
  } catch (error) {
    const { code } = asCurlingError(error);
    return { found: 'does not run', code };
  }
}

/** A handshake and no more: the other end is not greeted. */
function peerOutcome(
  address: TcpAddress,
  credentials: Credentials | undefined,
): Promise<MachineFacts['peers'][number]> {
  const told = { address: describeAddress(address), secure: credentials !== undefined };
  return new Promise(resolve => {
    const socket = connectWire(address, credentials, {
      ready: () => {
        socket.on('error', () => {}).destroy();
        resolve({ ...told, found: 'answers' });
      },
      failed: error => resolve({ ...told, ...failed(error) }),
    });
    const words = `did not answer within ${ANSWER_MS} ms`;
    const late = setTimeout(() => socket.destroy(new Error(words)), ANSWER_MS);
    socket.on('close', () => clearTimeout(late));
  });
}

async function registerOutcome(
  config: CoordinatorConfig,
): Promise<Pick<MachineFacts, 'witness' | 'register'>> {
  const source = openRegister(config);
  try {
    const store = await source.storeId();
    const register = await source.read(config.vm);
    const found = register ? ownerText(register) : 'there is none yet';
    return {
      witness: { found: `answers, with the store ${store}` },
      register: { exists: register !== null, found },
    };
  } catch (error) {
    return { witness: failed(error), register: undefined };
  } finally {
    source.close();
  }
}

async function guestOutcome({
  config,
  taps,
  qmpPath,
}: ConfiguredMachine): Promise<{ monitor?: MachineFacts['monitor']; holdable?: Outcome }> {
  if (qmpPath === undefined) return {};
  let qmp: QmpClient;
  try {
    qmp = await QmpClient.connect(qmpPath, { connectTimeoutMs: ANSWER_MS });
  } catch (error) {
    return { monitor: { ...failed(error), path: qmpPath } };
  }
  const monitor = { found: `answers at ${qmpPath}`, path: qmpPath };
  try {
    const warnings = await checkHoldable(qmp, {
      allowUnheld: config.allowUnheld,
      heldTaps: taps,
    });
    const found = ['can be protected', ...warnings].join('; ');
    return { monitor, holdable: { found } };
  } catch (error) {
    return { monitor, holdable: failed(error) };
  } finally {
    qmp.close();
  }
}
