/**
 * How far QEMU is with the first pass, and whether it will come to an end. QEMU sends the memory, and what the guest has
 * written meanwhile again, in passes; the copy is complete when what is left can be sent while the guest stands still for
 * `downtime-limit`. A guest that writes as fast as QEMU sends never comes to that.
 */
import type { QmpClient } from '../../common/qmp/client.ts';
import { isObject } from '../../common/qmp/messages.ts';
import { queryObject } from './qmp-queries.ts';

export interface CopyProgress {
  /** 1 while the memory is sent for the first time. */
  pass: number;
  leftBytes: number;
  totalBytes: number;
  /** What the guest wrote in the last pass; 0 in the first one. */
  writtenBytesPerS: number;
  sentBytesPerS: number;
  /** By how much QEMU slows the guest's processors, 0 to 99. */
  throttlePercent: number;
}

/** After so many passes a copy is given up. Each lasts as long as the pause at its end may, or longer. */
export const PASSES_MAX = 50;
/** A guest that writes this share of what is sent is not being caught up with. */
const LOSING = 0.8;
/** The first pass says nothing, and the second is of what was written during a long one. */
const PASSES_MIN = 3;
const MIB = 2 ** 20;

/** Undefined while QEMU has none to tell. @throws CurlingError as QmpClient.execute */
export async function queryCopy(qmp: QmpClient): Promise<CopyProgress | undefined> {
  const migration = await queryObject(qmp, 'query-migrate', {}, { timeoutMs: 1_000 });
  const { ram } = migration;
  if (migration.status !== 'active' || !isObject(ram)) return undefined;
  const number = (value: unknown) => (Number.isFinite(Number(value)) ? Number(value) : 0);
  return {
    pass: number(ram['dirty-sync-count']),
    leftBytes: number(ram.remaining),
    totalBytes: number(ram.total),
    writtenBytesPerS: number(ram['dirty-pages-rate']) * (number(ram['page-size']) || 4096),
    sentBytesPerS: (number(ram.mbps) * 1e6) / 8,
    throttlePercent: number(migration['cpu-throttle-percentage']),
  };
}

/** Whether the guest writes about as fast as QEMU sends. Pure. */
export function isLosing({ pass, writtenBytesPerS, sentBytesPerS }: CopyProgress): boolean {
  return pass >= PASSES_MIN && writtenBytesPerS >= LOSING * sentBytesPerS;
}

/** The progress in words for an operator, with what to change when it does not come to an end. Pure. */
export function copyText(progress: CopyProgress, throttleMax: number): string {
  const { pass, leftBytes, totalBytes, writtenBytesPerS, sentBytesPerS, throttlePercent } =
    progress;
  const mib = (bytes: number) => Math.round(bytes / MIB);
  const left = `copies the guest's memory, pass ${pass}: ${mib(leftBytes)} of ${mib(totalBytes)} MiB are left`;
  if (pass < 2) return left;
  const rates = `${left}; the guest writes ${mib(writtenBytesPerS)} MiB/s, ${mib(sentBytesPerS)} MiB/s are sent`;
  const slowed = throttlePercent > 0 ? `${rates}; it is slowed by ${throttlePercent} %` : rates;
  if (!isLosing(progress)) return slowed;
  const advice =
    throttleMax === 0
      ? 'let the guest be slowed (--copy-throttle), or stopped for longer at the end (--copy-pause)'
      : throttlePercent < throttleMax
        ? 'it will be slowed further'
        : 'let it be slowed further (--copy-throttle), or stopped for longer at the end (--copy-pause)';
  return `${slowed}: the copy does not come to an end like this; ${advice}`;
}
