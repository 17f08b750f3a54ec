/** The ways in which bytes go from one process to another here, and what both ends must agree on. */
import { randomFillSync } from 'node:crypto';
import type { Credentials } from '../../common/wire/credentials.ts';

export const WAYS = ['stream', 'own-buffer', 'counted', 'full', 'checkpoints'] as const;
export type Way = (typeof WAYS)[number];

/** Whether the way is a bare stream. Its source listens; with the others the drain does, as a backup. */
export function isStream(way: Way): boolean {
  return way === 'stream' || way === 'own-buffer';
}

/** Written and not taken by the kernel yet, in every way. */
export const UNSENT_BYTES_MAX = 8 << 20;
/** Bytes that are sent in turn, more than the caches near a processor hold, in every way. */
const DISTINCT_BYTES = 64 << 20;

/** The name of both hosts. */
export const HOST = 'bench';

/** Keys that protect nothing. */
export const CREDENTIALS: Credentials = {
  kind: 'keys',
  keys: new Map([[HOST, Buffer.alloc(32, 7)]]),
  host: HOST,
};

/** As many pieces as it takes, each of `bytes`, of noise. */
export function noise(bytes: number): Buffer[] {
  return Array.from({ length: DISTINCT_BYTES / bytes }, () =>
    randomFillSync(Buffer.allocUnsafeSlow(bytes)),
  );
}
