/** The QEMU of the guest that runs on this host, as its monitor is found and how it is ended. */
import { asCurlingError } from '../common/errors.ts';
import { QmpClient } from '../common/qmp/client.ts';
import { newIdentity } from './arbitration/incarnation.ts';
import type { CoordinatorConfig } from './config.ts';
import type { IdentityFile } from './identity.ts';

/** Between telling QEMU to quit and believing that it does not. */
const QUIT_MS = 2_000;

/**
 * The monitor of the guest that runs here, if one does: the one that ran before this process was started again, which
 * goes on under the same incarnation, or the one that the command line names, under a new one.
 */
export async function findGuest(
  config: CoordinatorConfig,
  identity: IdentityFile,
): Promise<QmpClient | undefined> {
  if (identity.guestIntact) {
    try {
      return await QmpClient.connect(identity.current.guest!.qmpPath);
    } catch (error) {
      if (asCurlingError(error).code !== 'CURLING_CONNECT') throw error;
    }
  }
  identity.renew(newIdentity());
  if (config.qmpPath === undefined) return undefined;
  const qmp = await QmpClient.connect(config.qmpPath);
  identity.setGuest(config.qmpPath);
  return qmp;
}

/**
 * Ends the guest's QEMU, over its monitor or over a new connection to it: a closed connection does not mean that QEMU
 * has ended. Returns whether it has.
 */
export async function quitGuest(
  known: QmpClient | undefined,
  path: string | undefined,
): Promise<boolean> {
  let qmp = known;
  if ((!qmp || qmp.closedBy) && path !== undefined) {
    try {
      qmp = await QmpClient.connect(path);
    } catch (error) {
      return asCurlingError(error).code === 'CURLING_CONNECT';
    }
  }
  if (!qmp) return true;
  const quitting = qmp;
  let onClose = () => {};
  const ended = new Promise<void>(resolve => {
    onClose = resolve;
  });
  quitting.once('close', onClose);
  quitting.execute('quit').catch(() => {});
  await Promise.race([ended, new Promise(resolve => setTimeout(resolve, QUIT_MS).unref())]);
  quitting.off('close', onClose);
  return quitting.closedBy !== undefined;
}
