/**
 * Decides when the peer should be suspected. Pure: `now` comes in, and `nextCheckAt` says when to
 * ask again.
 *
 * Like somebody on the phone who says "hm" every now and then: one missed "hm" means nothing, a
 * long silence means that the line or the speaker is gone, and a click on the line means it at
 * once. Being wrong is never dangerous here, since only the register decides; it costs protection,
 * so the detector must not blame the peer for its own deafness.
 *
 * Own deafness: if this process was stopped (SIGSTOP, a long collection, a starved CPU), the peer's
 * beats lie unread in the socket. An event loop that wakes up runs overdue timers BEFORE it reads
 * sockets, so the first thing that a woken process would see is a silence that never was.
 * Therefore, when `verdict` was not asked for longer than half the timeout, the peer gets two beats
 * of new time, in which the sockets are read. A process that is late at every turn would then never
 * suspect anybody, so this chance is given at most three times in one silence: after that many
 * turns of the event loop the sockets have been read and were empty.
 *
 * Why no adaptive method (phi accrual and the like): both ends sit on one dedicated link with a
 * known beat; a fixed limit is easy to reason about and to state in a specification.
 *
 * Invariant: deadline ≥ the last beat heard + silenceMs, until the connection closes.
 */
import assert from 'node:assert/strict';

export interface DetectorOptions {
  /** Silence after which the peer is suspected. Milliseconds, default 300; at least four beats. */
  silenceMs?: number;
  /** How often the peer sends something at least. Milliseconds, default 50. */
  beatMs?: number;
}

/** `closed` and `silent` are suspicions. */
export type Verdict = 'trusted' | 'silent' | 'closed';

const OWN_PAUSES_FORGIVEN = 3;
const FRESH_CHANCE_BEATS = 2;

export class FailureDetector {
  /** Own pauses noticed, since the start. */
  ownPauses = 0;
  /** The longest own pause noticed, in milliseconds. */
  ownPauseMsMax = 0;
  readonly silenceMs: number;
  readonly beatMs: number;
  #deadline: number;
  #askedAt: number;
  #forgiven = 0;
  #closed = false;

  /** @param now Monotonic milliseconds. The peer counts as just heard. */
  constructor(now: number, options: DetectorOptions = {}) {
    this.silenceMs = options.silenceMs ?? 300;
    this.beatMs = options.beatMs ?? 50;
    assert(
      this.beatMs > 0 && this.silenceMs >= 4 * this.beatMs,
      'a silence is at least four beats',
    );
    this.#deadline = now + this.silenceMs;
    this.#askedAt = now;
  }

  /**
   * The peer was heard at `now`: anything of it, not only a beat. Once closed, nothing can be
   * heard.
   */
  heard(now: number): void {
    this.#deadline = Math.max(this.#deadline, now + this.silenceMs);
    this.#forgiven = 0;
  }

  /** The connection is over. A new connection gets a new detector. */
  closed(): void {
    this.#closed = true;
  }

  /**
   * Whether the peer should be suspected. Ask whenever `nextCheckAt` is reached; asking more often
   * is harmless.
   */
  verdict(now: number): Verdict {
    const gapMs = now - this.#askedAt;
    this.#askedAt = Math.max(this.#askedAt, now);
    if (gapMs > this.silenceMs / 2) this.#forgive(now, gapMs);
    if (this.#closed) return 'closed';
    return now >= this.#deadline ? 'silent' : 'trusted';
  }

  /**
   * Monotonic milliseconds at which to ask next; at most one beat after the last time, so that a
   * gap means a pause.
   */
  nextCheckAt(): number {
    return Math.min(this.#deadline, this.#askedAt + this.beatMs);
  }

  #forgive(now: number, gapMs: number): void {
    this.ownPauses++;
    this.ownPauseMsMax = Math.max(this.ownPauseMsMax, gapMs);
    if (this.#forgiven >= OWN_PAUSES_FORGIVEN) return;
    this.#forgiven++;
    this.#deadline = Math.max(this.#deadline, now + FRESH_CHANCE_BEATS * this.beatMs);
  }
}
