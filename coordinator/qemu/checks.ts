/** Whether a guest can be protected at all, asked of its QEMU before anything is changed. */
import { CurlingError } from '../../common/errors.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import { isObject } from '../../common/qmp/messages.ts';
import { coloBroken } from './colo-migration.ts';
import { describeGuest, type GuestDescription } from './guest-description.ts';
import { queryCapabilities, queryList, queryObject } from './qmp-queries.ts';

export interface HoldableOptions {
  /** Protect a guest although it has writable disks, whose contents no checkpoint holds. Default false. */
  allowUnheld?: boolean;
}

/** A TCG before 9.0 loses dirty pages of RAM blocks whose size is a multiple of this. */
const TCG_TRAP_BYTES = 256 << 10;

/**
 * Refuses a guest that cannot be protected. What could not be seen, or was allowed, comes back as warnings. A QEMU
 * whose COLO is there but broken shows itself only when a protection starts (ColoSession).
 * @throws CurlingError CURLING_QEMU_COLO without COLO, under a TCG that loses pages, and for a guest that QEMU will not
 *   migrate; CURLING_QEMU_UNHELD for a writable disk; and as QmpClient.execute
 */
export async function checkHoldable(
  qmp: QmpClient,
  options: HoldableOptions = {},
): Promise<string[]> {
  await checkColo(qmp);
  const guest = await describeGuest(qmp);
  return [...checkTcg(guest), ...(await checkDisks(qmp, options.allowUnheld ?? false))];
}

async function checkColo(qmp: QmpClient): Promise<void> {
  const [known, commands, migration] = await Promise.all([
    queryCapabilities(qmp),
    queryList(qmp, 'query-commands'),
    queryObject(qmp, 'query-migrate'),
  ]);
  if (!known.has('x-colo')) throw coloBroken('the migration capability x-colo is not there');
  if (!commands.some(command => command.name === 'x-colo-lost-heartbeat'))
    throw coloBroken('the command x-colo-lost-heartbeat is not there');
  const blockers = migration['blocked-reasons'];
  if (!Array.isArray(blockers) || blockers.length === 0) return;
  const text = `QEMU cannot migrate this guest, so it cannot be protected: ${blockers.join('; ')}`;
  throw new CurlingError('CURLING_QEMU_COLO', text);
}

function checkTcg({ accel, qemuVersion, ramBytes }: GuestDescription): string[] {
  if (accel !== 'tcg') return [];
  if (Number.parseInt(qemuVersion, 10) < 9 && ramBytes % TCG_TRAP_BYTES === 0) {
    const text =
      `QEMU ${qemuVersion} under TCG loses dirty pages when the RAM is a multiple of 256 KiB ` +
      `(${ramBytes} bytes); give the guest ${ramBytes - 8192} bytes (-m ${ramBytes - 8192}B), ` +
      'or use KVM, or QEMU 9.0 or later';
    throw new CurlingError('CURLING_QEMU_COLO', text);
  }
  return [
    'this guest runs under TCG, where COLO hangs QEMU unless the lock workaround is preloaded ' +
      '(LD_PRELOAD; it cannot be seen from here); KVM needs none',
  ];
}

async function checkDisks(qmp: QmpClient, allowUnheld: boolean): Promise<string[]> {
  const writable = (await queryList(qmp, 'query-block'))
    .filter(({ inserted }) => isObject(inserted) && inserted.ro !== true)
    .map(({ device, qdev }) => String(device || qdev));
  if (writable.length === 0) return [];
  const disks = `writable disks are not part of a checkpoint: ${writable.join(', ')}`;
  if (allowUnheld) return [`${disks}; they are not rolled back at a failover`];
  const text = `${disks}; remove them or make them read-only (read-only=on)`;
  throw new CurlingError('CURLING_QEMU_UNHELD', text);
}
