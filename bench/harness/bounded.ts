/** Work with an end: by time or by a signal, and then some grace to tidy up. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../common/errors.ts';

/** The work did not end in time, and not in the grace either: it still goes on. */
export class Stuck extends Error {
  override readonly name = 'Stuck';
}

export interface Bounds {
  /** Named in the errors. */
  what: string;
  limitMs: number;
  /** How long the work may take to end after its signal was aborted. */
  graceMs: number;
  /** Ends the work early. */
  signal: AbortSignal;
}

/**
 * Runs `work` with a signal that is aborted at the limit and with the outer one.
 * @throws what the work throws; Error when it took too long; Stuck when it does not even end after that.
 */
export async function bounded<T>(
  bounds: Bounds,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { what, limitMs, graceMs } = bounds;
  const late = new AbortController();
  const ended = new AbortController();
  const signal = AbortSignal.any([bounds.signal, late.signal]);
  const running = Promise.resolve().then(() => work(signal));
  const text = `${what} took longer than ${(limitMs / 1000).toFixed(0)} s`;
  const end = ended.signal;
  const limit = sleep(limitMs, undefined, { signal: end }).then(
    () => late.abort(new Error(text)),
    () => undefined,
  );
  const aborted = new Promise<void>(resolve => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true, signal: end });
  });
  try {
    const stuck = aborted
      .then(() => sleep(graceMs, undefined, { signal: end }))
      .then(() => Promise.reject(new Stuck(`${what} did not end when it was told to`)));
    // It is raced below; when it loses, its end is nobody's concern.
    stuck.catch(() => undefined);
    return await Promise.race([running, stuck]);
  } catch (error) {
    if (late.signal.aborted && !(error instanceof Stuck))
      throw new Error(`${text} (${messageOf(error)})`, { cause: error });
    throw error;
  } finally {
    ended.abort();
    await limit;
    running.catch(() => undefined);
  }
}
