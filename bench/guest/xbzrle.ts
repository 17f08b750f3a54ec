/**
 * What QEMU's own delta compression makes of a running guest's memory: a live migration to nowhere with the capability
 * xbzrle, whose rounds go on until it is cancelled. Its decoder must be a QEMU, so curling cannot use it in COLO's stream.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { isObject } from '../../common/qmp/messages.ts';

export interface XbzrleOptions {
  qmpPath: string;
  /** Of contents before the change; QEMU rounds it down to a power of two. */
  cacheBytes: number;
  /** What the migration may carry in a second; slower makes rounds longer. */
  bytesPerSecond: number;
  /** How long to count, after the first round and one more, which fill the cache. */
  ms: number;
}

/** Of the rounds that were counted. */
export interface XbzrleFigures {
  pages: number;
  bytes: number;
  /** Milliseconds of a round. */
  roundMs: number;
}

interface Reading {
  rounds: number;
  pages: number;
  bytes: number;
  atMs: number;
}

const ROUNDS_MS_MAX = 60_000;

/** @throws CurlingError CURLING_COMMAND_FAILED, CURLING_TIMEOUT when no rounds come */
export async function measureXbzrle(options: XbzrleOptions): Promise<XbzrleFigures> {
  const qmp = await QmpClient.connect(options.qmpPath);
  try {
    await capability(qmp, true);
    await qmp.execute('migrate-set-parameters', {
      'xbzrle-cache-size': options.cacheBytes,
      'max-bandwidth': options.bytesPerSecond,
      // It would end if the rest could be sent in this time.
      'downtime-limit': 1,
    });
    await qmp.execute('migrate', { uri: 'exec:cat >/dev/null' });
    const before = await untilRound(qmp, 3);
    await sleep(options.ms);
    const after = await untilRound(qmp, before.rounds + 1);
    return {
      pages: after.pages - before.pages,
      bytes: after.bytes - before.bytes,
      roundMs: (after.atMs - before.atMs) / (after.rounds - before.rounds),
    };
  } finally {
    await qmp.execute('migrate_cancel').catch(() => {});
    await capability(qmp, false).catch(() => {});
    qmp.close();
  }
}

async function capability(qmp: QmpClient, state: boolean): Promise<void> {
  const capabilities = [{ capability: 'xbzrle', state }];
  // A migration that was cancelled takes a moment to be over.
  for (let attempt = 0; ; attempt++) {
    try {
      await qmp.execute('migrate-set-capabilities', { capabilities });
      return;
    } catch (error) {
      if (attempt === 20) throw error;
      await sleep(100);
    }
  }
}

/** Waits for the begin of a round, and says what was sent before it. */
async function untilRound(qmp: QmpClient, round: number): Promise<Reading> {
  const deadline = performance.now() + ROUNDS_MS_MAX;
  while (performance.now() < deadline) {
    const reading = await read(qmp);
    if (reading && reading.rounds >= round) return reading;
    await sleep(5);
  }
  throw new CurlingError('CURLING_TIMEOUT', `round ${round} of the migration did not begin`);
}

async function read(qmp: QmpClient): Promise<Reading | undefined> {
  const answer = await qmp.execute('query-migrate');
  if (!isObject(answer)) return undefined;
  if (answer.status === 'failed' || answer.status === 'completed')
    throw new CurlingError('CURLING_COMMAND_FAILED', `the migration is ${answer.status}`);
  const { ram, 'xbzrle-cache': cache } = answer;
  if (!isObject(ram) || !isObject(cache)) return undefined;
  const number = (value: unknown) => Number(value ?? 0);
  return {
    rounds: number(ram['dirty-sync-count']),
    pages: number(ram.normal) + number(ram.duplicate) + number(cache.pages),
    bytes: number(ram.transferred),
    atMs: performance.now(),
  };
}
