/** QEMU's answers over QMP, with their shape checked: what is not as documented is CURLING_MESSAGE. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import type { QmpClient } from '../../common/qmp/client.ts';
import { isObject, type JsonObject } from '../../common/qmp/messages.ts';

/**
 * Executes a query whose answer is an object.
 * @throws CurlingError as QmpClient.execute, and CURLING_MESSAGE
 */
export async function queryObject(
  qmp: QmpClient,
  command: string,
  args: JsonObject = {},
  options: { timeoutMs?: number } = {},
): Promise<JsonObject> {
  const answer = await qmp.execute(command, args, options);
  if (isObject(answer)) return answer;
  throw new CurlingError('CURLING_MESSAGE', `${command}: expected an object from QEMU`);
}

/**
 * Executes a query whose answer is a list of objects.
 * @throws CurlingError as QmpClient.execute, and CURLING_MESSAGE
 */
export async function queryList(
  qmp: QmpClient,
  command: string,
  args: JsonObject = {},
): Promise<JsonObject[]> {
  const answer = await qmp.execute(command, args);
  if (Array.isArray(answer) && answer.every(isObject)) return answer;
  throw new CurlingError('CURLING_MESSAGE', `${command}: expected a list of objects from QEMU`);
}

/** Names of all migration capabilities that this QEMU knows. */
export async function queryCapabilities(qmp: QmpClient): Promise<Set<string>> {
  const list = await queryList(qmp, 'query-migrate-capabilities');
  return new Set(list.map(entry => String(entry.capability)));
}

/** Whether the guest runs. */
export async function queryRunning(qmp: QmpClient): Promise<boolean> {
  return (await queryObject(qmp, 'query-status')).running === true;
}

/**
 * Asks again and again until `holds` says so.
 * @throws CurlingError CURLING_TIMEOUT after `timeoutMs`, saying that `what` did not come about
 */
export async function untilHolds(
  holds: () => Promise<boolean>,
  what: string,
  timeoutMs: number,
  pollMs = 5,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline)
      throw new CurlingError('CURLING_TIMEOUT', `${what}: not within ${timeoutMs} ms`);
    await sleep(pollMs);
  }
}
