/**
 * "Checkpoint now", from outside: who waits for a checkpoint to be committed that began after they asked for it. All that
 * wait for the same one are answered together.
 *
 * Bound: HINTS_MAX wait at once; one more is refused. Each waits for as long as it says.
 */
import { CurlingError } from '../common/errors.ts';
import type { JsonObject } from '../common/qmp/messages.ts';
import { shown } from '../common/shown.ts';

const HINTS_MAX = 64;
const TIMEOUT_MS = 10_000;
const TIMEOUT_MS_MAX = 600_000;

/** What a command for a checkpoint is answered. Milliseconds. */
export interface CheckpointDone {
  /** The checkpoint, which began after the command and is committed at the backup. */
  epoch: number;
  /** From the command to the begin of the checkpoint. */
  waitMs: number;
  /** For which the guest was stopped. */
  pauseMs: number;
  /** From the staged checkpoint to the word of its commit. */
  commitMs: number;
}

/** A committed checkpoint. The times are monotonic milliseconds. */
export interface Committed {
  epoch: number;
  beganAtMs: number;
  stagedAtMs: number;
  commitMs: number;
}

/**
 * How long a command waits, by its argument `timeoutMs`.
 * @throws CurlingError CURLING_MESSAGE when that is no number from 1 to 600,000
 */
export function hintTimeout({ timeoutMs = TIMEOUT_MS }: JsonObject): number {
  if (typeof timeoutMs === 'number' && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS_MAX)
    return timeoutMs;
  const expected = `expected "timeoutMs", milliseconds from 1 to ${TIMEOUT_MS_MAX}`;
  throw new CurlingError('CURLING_MESSAGE', `${expected}, got ${shown(timeoutMs)}`);
}

interface Hint {
  /** The first checkpoint that will do. */
  epoch: number;
  askedAtMs: number;
  timer: NodeJS.Timeout;
  resolve(done: CheckpointDone): void;
  reject(error: CurlingError): void;
}

export class CheckpointHints {
  /** Commands by what came of them; they only grow. */
  readonly counters = { hintsCommitted: 0, hintsTimedOut: 0, hintsEnded: 0, hintsRefused: 0 };
  readonly #waiting = new Set<Hint>();

  /**
   * Waits for the commit of checkpoint `epoch`, which has not begun.
   * @throws CurlingError CURLING_BUSY at the bound, CURLING_TIMEOUT after `timeoutMs`, CURLING_STATE when the protection
   *   ends first: what the backup has is unknown then.
   */
  wait(epoch: number, now: number, timeoutMs: number): Promise<CheckpointDone> {
    if (this.#waiting.size >= HINTS_MAX) {
      this.counters.hintsRefused++;
      const text = `${HINTS_MAX} commands wait for a checkpoint already; ask again when one is answered`;
      return Promise.reject(new CurlingError('CURLING_BUSY', text));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.counters.hintsTimedOut++;
        this.#waiting.delete(hint);
        const text = `checkpoint ${epoch} was not committed within ${timeoutMs} ms; it may still be`;
        reject(new CurlingError('CURLING_TIMEOUT', text));
      }, timeoutMs);
      const hint: Hint = { epoch, askedAtMs: now, timer, resolve, reject };
      this.#waiting.add(hint);
    });
  }

  /** A checkpoint is committed, and with it all before it. */
  committed({ epoch, beganAtMs, stagedAtMs, commitMs }: Committed): void {
    for (const hint of this.#waiting) {
      if (hint.epoch > epoch) continue;
      this.#forget(hint);
      this.counters.hintsCommitted++;
      const waitMs = beganAtMs - hint.askedAtMs;
      hint.resolve({ epoch, waitMs, pauseMs: stagedAtMs - beganAtMs, commitMs });
    }
  }

  /** No checkpoint is committed any more. */
  end(): void {
    for (const hint of this.#waiting) {
      this.#forget(hint);
      this.counters.hintsEnded++;
      const text = `the protection ended before checkpoint ${hint.epoch} was known to be committed; the events say what came of it`;
      hint.reject(new CurlingError('CURLING_STATE', text));
    }
  }

  #forget(hint: Hint): void {
    clearTimeout(hint.timer);
    this.#waiting.delete(hint);
  }
}
