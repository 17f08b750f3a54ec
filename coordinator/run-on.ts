/** Brings a guest to run on without checkpoints, when they are over or have failed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { QmpClient } from '../common/qmp/client.ts';
import type { ProtectionRun } from './protection-run.ts';
import { endColo } from './qemu/colo-migration.ts';

/** How long QEMU's monitor may take to close after its migration socket, when QEMU has died. */
const QEMU_END_MS = 100;
/** How long a guest may take to run on without checkpoints when they have failed, before the backup is asked to run it. */
export const RECOVER_MS = 750;
/** Between two attempts to bring a guest to run whose QEMU hangs. */
const RETRY_END_MS = 500;
/** How often QEMU is asked to end a protection. */
const END_ATTEMPTS = 3;
const UNREF = { ref: false };

/**
 * Ends a protection; a QEMU that does not come to it is asked a few times, for its guest may be stopped.
 * @param failed Told of each attempt that failed.
 */
export async function endAll(
  protection: ProtectionRun,
  qmp: QmpClient | undefined,
  failed: (error: unknown) => void,
): Promise<void> {
  for (let attempt = 0; attempt < END_ATTEMPTS; attempt++) {
    try {
      return await (attempt === 0 ? protection.end() : qmp && endColo(qmp));
    } catch (error) {
      failed(error);
      if (qmp?.closedBy) return;
    }
  }
}

/** Returns when the monitor has closed, or after the time in which it would if QEMU had died. */
export function monitorsEnd(qmp: QmpClient): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, QEMU_END_MS);
    qmp.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    if (qmp.closedBy) resolve();
  });
}

/**
 * Whether the guest can be brought to run without checkpoints, soon. Its output stays held meanwhile: a grant comes
 * later. Asked before a grant is, because with one the backup's copy is given up.
 */
export function runsOn(protection: ProtectionRun): Promise<boolean> {
  const ended = protection.end().then(
    () => true,
    () => false,
  );
  return Promise.race([ended, sleep(RECOVER_MS, false, UNREF)]);
}

/** Asks a QEMU that hangs until its guest runs without checkpoints, or `still` does not hold any more. */
export async function untilRunsOn(qmp: QmpClient, still: () => boolean): Promise<void> {
  while (still() && !(await endsColo(qmp))) await sleep(RETRY_END_MS, undefined, UNREF);
}

async function endsColo(qmp: QmpClient): Promise<boolean> {
  try {
    await endColo(qmp);
    return true;
  } catch {
    return false;
  }
}
