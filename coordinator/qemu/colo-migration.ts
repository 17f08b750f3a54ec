/** The QMP side of COLO on the primary: how it is switched on, begun, and ended. */
import { asCurlingError, CurlingError } from '../../common/errors.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import type { JsonObject } from '../../common/qmp/messages.ts';
import { queryCapabilities, queryObject, queryRunning, untilHolds } from './qmp-queries.ts';
import { IGNORE_SHARED } from './stream-format.ts';

/** Capabilities that change the stream in ways that the decoder does not read, or that COLO does not bear. */
const CAPABILITIES_OFF = [
  IGNORE_SHARED,
  'return-path',
  'xbzrle',
  'compress',
  'multifd',
  'postcopy-ram',
  'background-snapshot',
  'mapped-ram',
  'zero-copy-send',
  'dirty-bitmaps',
  'block',
] as const;

/** States of a migration that is not over. */
const UNDER_WAY = new Set(['setup', 'active', 'pre-switchover', 'device', 'colo', 'cancelling']);

export interface ColoParameters {
  /** Milliseconds from one checkpoint's end to QEMU's next REQUEST, 1 or more: 0 makes QEMU's main loop spin. */
  checkpointDelayMs: number;
  /** Bytes per second that the first pass may take of the socket. */
  maxBandwidth: number;
  /** Milliseconds for which the first pass may stop the guest at its end: QEMU goes on copying until it fits. */
  downtimeLimitMs: number;
  /** By how many percent the first pass may slow the guest's processors when it does not catch up; 0: not at all. */
  throttleMax: number;
}

/** QEMU slows a guest by this at first, and by so much more each time that it does not help. */
const THROTTLE_STEP = 20;
/** Slows a guest that writes faster than it can be copied. */
const THROTTLE = 'auto-converge';

/** Why this QEMU cannot be protected, in words for an operator. */
export function coloBroken(what: string): CurlingError {
  const text =
    `${what}: this QEMU's COLO is missing or broken (it is in 10.0.0 to 10.0.x and 10.1); ` +
    'use QEMU 7.2, or 10.0.13 or later, built with replication';
  return new CurlingError('CURLING_QEMU_COLO', text);
}

/**
 * Sets capabilities and parameters for a COLO migration.
 * @throws CurlingError CURLING_QEMU_COLO when QEMU has no COLO, and as QmpClient.execute
 */
export async function prepareColo(qmp: QmpClient, parameters: ColoParameters): Promise<void> {
  const known = await queryCapabilities(qmp);
  if (!known.has('x-colo')) throw coloBroken('the migration capability x-colo is not there');
  const off = CAPABILITIES_OFF.filter(name => known.has(name));
  const { throttleMax } = parameters;
  await qmp.execute('migrate-set-capabilities', {
    capabilities: [
      ...off.map(capability => ({ capability, state: false })),
      ...(known.has(THROTTLE) ? [{ capability: THROTTLE, state: throttleMax > 0 }] : []),
      { capability: 'events', state: true },
      { capability: 'x-colo', state: true },
    ],
  });
  await qmp.execute('migrate-set-parameters', {
    'x-checkpoint-delay': parameters.checkpointDelayMs,
    'max-bandwidth': parameters.maxBandwidth,
    'downtime-limit': parameters.downtimeLimitMs,
    ...(throttleMax > 0 ? throttle(throttleMax) : {}),
  });
}

function throttle(max: number): JsonObject {
  return {
    'cpu-throttle-initial': Math.min(THROTTLE_STEP, max),
    'cpu-throttle-increment': THROTTLE_STEP,
    'max-cpu-throttle': max,
  };
}

/**
 * The first pass is over: a checkpoint, which QEMU counts as another pass, must not slow the guest. QEMU 7.2 lets the
 * capability be changed in COLO; where that is refused, the throttle is made as good as none.
 * @throws CurlingError as QmpClient.execute
 */
export async function endThrottle(qmp: QmpClient): Promise<void> {
  try {
    await qmp.execute('migrate-set-capabilities', {
      capabilities: [{ capability: THROTTLE, state: false }],
    });
  } catch (error) {
    if (asCurlingError(error).code !== 'CURLING_COMMAND_FAILED') throw error;
    await qmp.execute('migrate-set-parameters', throttle(1));
  }
}

/** How QEMU's migration ended, and why, as far as QEMU says. */
export async function queryMigrationEnd(
  qmp: QmpClient,
): Promise<{ status: string; reason: string }> {
  const migration = await queryObject(qmp, 'query-migrate', {}, { timeoutMs: 1_000 });
  return {
    status: String(migration.status ?? ''),
    reason: typeof migration['error-desc'] === 'string' ? migration['error-desc'] : '',
  };
}

/**
 * Ends COLO, or a migration that has not become COLO yet, and returns when the guest runs and another migration may
 * begin. Works in any state, also for a coordinator that finds a guest left stopped by the one before it; QEMU waits
 * for this command even when its migration socket is closed.
 * @throws CurlingError CURLING_TIMEOUT when QEMU does not come to it within `timeoutMs`, and as QmpClient.execute
 */
export async function endColo(qmp: QmpClient, timeoutMs = 5_000): Promise<void> {
  const status = async () => (await queryObject(qmp, 'query-migrate')).status;
  const over = async () => {
    const now = await status();
    if (typeof now !== 'string' || !UNDER_WAY.has(now)) return true;
    await abandon(qmp, now);
    return false;
  };
  await untilHolds(over, "the end of QEMU's migration", timeoutMs);
  // QEMU's migration thread starts the guest itself, and is done with the migration when it has.
  const running = () => queryRunning(qmp);
  try {
    await untilHolds(running, 'the start of the guest', Math.min(1_000, timeoutMs));
  } catch {
    await qmp.execute('cont');
    await untilHolds(running, 'the start of the guest after cont', timeoutMs);
  }
}

/** Asks QEMU to leave a migration; it may leave the state `now` by itself meanwhile, so a refusal means nothing. */
async function abandon(qmp: QmpClient, now: string): Promise<void> {
  try {
    await qmp.execute(now === 'colo' ? 'x-colo-lost-heartbeat' : 'migrate_cancel');
  } catch (error) {
    if (!(error instanceof CurlingError && error.code === 'CURLING_COMMAND_FAILED')) throw error;
  }
}
