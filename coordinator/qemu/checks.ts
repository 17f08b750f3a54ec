/** Whether a guest can be protected at all, asked of its QEMU before anything is changed. One file per concern: checks/. */
import fs from 'node:fs';
import { CurlingError } from '../../common/errors.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import { CHARDEV_PROPERTY, chardevExits, outsideChardevs } from './checks/chardevs.ts';
import { checkColo, checkTcg } from './checks/colo.ts';
import { deviceExits } from './checks/devices.ts';
import { diskExits } from './checks/disks.ts';
import { displayWarnings } from './checks/displays.ts';
import { type Exit, judgeExits } from './checks/exit.ts';
import { netdevExits, parseNetwork } from './checks/netdevs.ts';
import { describeGuest } from './guest-description.ts';
import { vcpuThreads } from './guest-load.ts';
import { queryMainMemory } from './main-memory.ts';
import { queryList, queryObject } from './qmp-queries.ts';

export interface HoldableOptions {
  /** Exits that the operator allows although nothing holds them, by the names that the refusal gives. Default none. */
  allowUnheld?: readonly string[];
  /** The taps that the proxy holds. Default none. */
  heldTaps?: readonly string[];
  /** Whether checkpoints are to come from COLO, which makes demands of its own. Default true. */
  colo?: boolean;
}

const DEVICE_FOLDERS = ['/machine/peripheral', '/machine/peripheral-anon'];

/**
 * Refuses a guest that cannot be protected. What could not be seen, or was allowed, comes back as warnings. A QEMU
 * whose COLO is there but broken shows itself only when a protection starts (ColoSession).
 * @throws CurlingError CURLING_QEMU_COLO without COLO, under a TCG that loses pages, and for a guest that QEMU will not
 *   migrate; CURLING_QEMU_MEMORY as queryMainMemory; CURLING_QEMU_UNHELD for an exit that is neither held nor allowed; and as QmpClient.execute
 */
export async function checkHoldable(
  qmp: QmpClient,
  options: HoldableOptions = {},
): Promise<string[]> {
  const colo = options.colo ?? true;
  if (colo) await checkColo(qmp);
  const tcg = colo ? checkTcg(await describeGuest(qmp)) : [];
  await queryMainMemory(qmp);
  const exits = await findExits(qmp, options.heldTaps ?? []);
  return [
    ...tcg,
    ...judgeExits(exits, options.allowUnheld ?? []),
    ...displayWarnings(
      await ifThere(queryObject(qmp, 'query-vnc'), {}),
      await ifThere(queryObject(qmp, 'query-spice'), {}),
    ),
  ];
}

async function findExits(qmp: QmpClient, heldTaps: readonly string[]): Promise<Exit[]> {
  const folders = [...DEVICE_FOLDERS, '/objects'];
  const listed = await Promise.all(folders.map(path => queryList(qmp, 'qom-list', { path })));
  return [
    ...diskExits(await queryList(qmp, 'query-block')),
    ...(await findChardevs(qmp)),
    ...(await findNetdevs(qmp, heldTaps)),
    ...deviceExits(listed.flat(), await ifThere(queryList(qmp, 'query-tpm'), [])),
  ];
}

async function findChardevs(qmp: QmpClient): Promise<Exit[]> {
  const [chardevs, kinds] = await Promise.all([
    queryList(qmp, 'query-chardev'),
    queryList(qmp, 'qom-list', { path: '/chardevs' }),
  ]);
  const outside = outsideChardevs(chardevs, kinds);
  // The monitor that asks is always there; whose the others are takes many questions.
  if (outside.every(({ name }) => name.startsWith('compat_monitor'))) return [];
  return chardevExits(outside, await usedChardevs(qmp));
}

/** The names of the character devices that devices use. The serial ports of a PC are `unattached`. */
async function usedChardevs(qmp: QmpClient): Promise<Set<string>> {
  const used = new Set<string>();
  for (const folder of [...DEVICE_FOLDERS, '/machine/unattached']) {
    for (const { name, type } of await queryList(qmp, 'qom-list', { path: folder })) {
      if (!/^child<(?!irq>|memory-region>)/.test(String(type))) continue;
      const path = `${folder}/${name}`;
      for (const property of await queryList(qmp, 'qom-list', { path })) {
        if (property.type !== 'str' || !CHARDEV_PROPERTY.test(String(property.name))) continue;
        used.add(String(await qmp.execute('qom-get', { path, property: property.name })));
      }
    }
  }
  return used;
}

async function findNetdevs(qmp: QmpClient, heldTaps: readonly string[]): Promise<Exit[]> {
  const text = await qmp.execute('human-monitor-command', { 'command-line': 'info network' });
  const netdevs = parseNetwork(String(text));
  const handed = netdevs.some(({ type, ifname }) => type === 'tap' && ifname === undefined);
  const opened = handed ? openedTaps(await vcpuThreads(qmp)) : undefined;
  return netdevExits(netdevs, heldTaps, opened);
}

/** The taps that the process of these threads has open; undefined when that cannot be seen. */
function openedTaps(threads: readonly number[]): string[] | undefined {
  const folder = `/proc/${threads[0]}/fdinfo`;
  try {
    const found = fs.readdirSync(folder).flatMap(fd => {
      const name = /^iff:\s*(\S+)$/m.exec(fs.readFileSync(`${folder}/${fd}`, 'utf8'))?.[1];
      return name === undefined ? [] : [name];
    });
    return [...new Set(found)];
  } catch {
    return undefined;
  }
}

/** The answer to a query that not every QEMU was built with. */
async function ifThere<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof CurlingError && error.code === 'CURLING_COMMAND_UNKNOWN') return otherwise;
    throw error;
  }
}
