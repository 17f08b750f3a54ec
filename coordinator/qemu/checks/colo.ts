/** Whether this QEMU has COLO, and will migrate this guest. */
import { CurlingError } from '../../../common/errors.ts';
import type { QmpClient } from '../../../common/qmp/client.ts';
import { coloBroken } from '../colo-migration.ts';
import type { GuestDescription } from '../guest-description.ts';
import { queryCapabilities, queryList, queryObject } from '../qmp-queries.ts';

/** A TCG before 9.0 loses dirty pages of RAM blocks whose size is a multiple of this. */
const TCG_TRAP_BYTES = 256 << 10;

/** @throws CurlingError CURLING_QEMU_COLO, and as QmpClient.execute */
export async function checkColo(qmp: QmpClient): Promise<void> {
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

/**
 * What COLO needs under TCG, as warnings. Pure.
 * @throws CurlingError CURLING_QEMU_COLO for a guest whose dirty pages would be lost
 */
export function checkTcg({ accel, qemuVersion, ramBytes }: GuestDescription): string[] {
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
