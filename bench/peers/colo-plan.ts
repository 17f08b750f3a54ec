/**
 * What makes QEMU's own COLO out of two plain QEMUs, as monitor commands: the set-up of QEMU's
 * docs/COLO-FT.txt and docs/colo-proxy.txt without disks. Pure.
 *
 * ```
 *  client -> tap0 -> m0 (mirror) -> primary guest          every request also goes to f1 -> secondary guest
 *  tap0 <- redire0 <- comp0 (compare) <- redire1 <- primary guest
 *                       ^---------------- f2 <- rew0 <- secondary guest
 * ```
 *
 * Where QEMU leaves a choice, COLO gets what is best for it: the sockets between filters of one
 * QEMU are unix sockets, those between the hosts have no delay of small writes, and the migration
 * stream is a unix socket too (QEMU never sets TCP_NODELAY on it: over TCP a checkpoint takes some
 * 40 ms longer).
 */
import type { JsonObject } from '../../common/qmp/messages.ts';

export interface Command {
  execute: string;
  arguments: JsonObject;
}

/** The netdev of the lab's guests. */
const NETDEV = 'net0';
export const MIRROR_PORT = 9003;
export const COMPARE_PORT = 9004;

export interface PrimaryPlan {
  /** The primary's address on the replication link. */
  address: string;
  /** For sockets between its own filters. */
  runDir: string;
}

/** The primary's character devices, filters and comparison; a running guest's output then waits for the secondary. */
export function primaryCommands(plan: PrimaryPlan): Command[] {
  const local = (name: string) => `${plan.runDir}/${name}.sock`;
  return [
    tcpChardev('mirror0', plan.address, MIRROR_PORT, true),
    tcpChardev('compare1', plan.address, COMPARE_PORT, true),
    unixChardev('compare0', local('compare0'), true),
    unixChardev('compare0-0', local('compare0'), false),
    unixChardev('compare_out', local('compare-out'), true),
    unixChardev('compare_out0', local('compare-out'), false),
    filter('filter-mirror', 'm0', { queue: 'tx', outdev: 'mirror0' }),
    filter('filter-redirector', 'redire0', { queue: 'rx', indev: 'compare_out' }),
    filter('filter-redirector', 'redire1', { queue: 'rx', outdev: 'compare0' }),
    objectAdd('iothread', 'iothread1', {}),
    objectAdd('colo-compare', 'comp0', {
      primary_in: 'compare0-0',
      secondary_in: 'compare1',
      outdev: 'compare_out0',
      iothread: 'iothread1',
      vnet_hdr_support: true,
    }),
  ];
}

/** The secondary's character devices and filters; the primary's must be there. */
export function secondaryCommands(primaryAddress: string): Command[] {
  return [
    tcpChardev('red0', primaryAddress, MIRROR_PORT, false),
    tcpChardev('red1', primaryAddress, COMPARE_PORT, false),
    filter('filter-redirector', 'f1', { queue: 'tx', indev: 'red0' }),
    filter('filter-redirector', 'f2', { queue: 'rx', outdev: 'red1' }),
    filter('filter-rewriter', 'rew0', { queue: 'all' }),
  ];
}

/** Before `migrate`, on the primary; the delay in milliseconds. */
export function migrationCommands(delayMs: number): Command[] {
  return [
    {
      execute: 'migrate-set-capabilities',
      arguments: {
        capabilities: [
          { capability: 'x-colo', state: true },
          { capability: 'events', state: true },
        ],
      },
    },
    delayCommand(delayMs, { 'max-bandwidth': 1e10 }),
  ];
}

/** Setting the delay also raises a checkpoint at once. */
export function delayCommand(delayMs: number, others: JsonObject = {}): Command {
  return {
    execute: 'migrate-set-parameters',
    arguments: { 'x-checkpoint-delay': delayMs, ...others },
  };
}

/** What docs/COLO-FT.txt has an operator do when the primary died, without its disk's part. */
export function failoverCommands(): Command[] {
  const del = (id: string) => ({ execute: 'object-del', arguments: { id } });
  return [{ execute: 'x-colo-lost-heartbeat', arguments: {} }, del('f2'), del('f1')];
}

/** QEMU's filter-buffer over the guest's output: it leaves every `intervalUs`. */
export function bufferCommand(id: string, intervalUs: number): Command {
  return objectAdd('filter-buffer', id, { netdev: NETDEV, queue: 'rx', interval: intervalUs });
}

function filter(type: string, id: string, properties: JsonObject): Command {
  return objectAdd(type, id, { netdev: NETDEV, ...properties, vnet_hdr_support: true });
}

function objectAdd(type: string, id: string, properties: JsonObject): Command {
  return { execute: 'object-add', arguments: { 'qom-type': type, id, ...properties } };
}

function tcpChardev(id: string, host: string, port: number, server: boolean): Command {
  const inet = { host, port: String(port) };
  const nodelay = { nodelay: true };
  return socketChardev(id, { type: 'inet', data: inet }, server, nodelay);
}

function unixChardev(id: string, path: string, server: boolean): Command {
  return socketChardev(id, { type: 'unix', data: { path } }, server, {});
}

function socketChardev(id: string, addr: JsonObject, server: boolean, more: JsonObject): Command {
  const data = { addr, server, ...(server ? { wait: false } : {}), ...more };
  return { execute: 'chardev-add', arguments: { id, backend: { type: 'socket', data } } };
}
