/**
 * What a coordinator has measured since it started, over all of its protections, for those who look: the metrics and the
 * status page. Recording a whole epoch takes 0.7 µs, most of it to read the clock.
 */
import type { Clock } from '../common/clock.ts';
import { Distribution } from '../common/distribution.ts';
import type { HostStateName } from './arbitration/host-state.ts';
import { HeldOutput } from './held-output.ts';
import { History } from './history.ts';
import { EVENTS } from './notices.ts';
import { PACK_LEVELS, type SentFigures } from './packing/choice.ts';
import { PACKED_KINDS } from './packing/packer.ts';
import { FAILOVER_CAUSES, type FailoverCause } from './suspicion.ts';

/** What a protection counts itself: schedule.ts, checkpoint-hints.ts, and its staging pool. */
export interface WorkCounters {
  output: number;
  deadline: number;
  interval: number;
  hint: number;
  idlePutOffs: number;
  outputWaitedForRequest: number;
  outputWaitedForInFlight: number;
  outputWaitedForBudget: number;
  /** Commands for a checkpoint, by what came of them. */
  hintsCommitted: number;
  hintsTimedOut: number;
  hintsEnded: number;
  hintsRefused: number;
  /** Times that a stopped guest waited for a staging chunk. */
  guestWaits: number;
  /** Staging chunks that were made above the bound. */
  stagingOverflows: number;
  /** Staging memory that was reserved after the start of the protection, and given back. Bytes. */
  stagingGrownBytes: number;
  stagingShrunkBytes: number;
  /** Times that a due checkpoint waited because too much was in flight. */
  windowClosed: number;
}

export const NO_WORK: Readonly<WorkCounters> = {
  ...{ output: 0, deadline: 0, interval: 0, hint: 0, idlePutOffs: 0 },
  ...{ outputWaitedForRequest: 0, outputWaitedForInFlight: 0, outputWaitedForBudget: 0 },
  ...{ hintsCommitted: 0, hintsTimedOut: 0, hintsEnded: 0, hintsRefused: 0 },
  ...{ guestWaits: 0, stagingOverflows: 0, stagingGrownBytes: 0, stagingShrunkBytes: 0 },
  windowClosed: 0,
};

export class Telemetry {
  /** The guest was stopped for a checkpoint. */
  readonly pause = new Distribution();
  /** From a staged checkpoint to the acknowledgement of the backup's commit. */
  readonly commit = new Distribution();
  /**
   * From the word that an epoch has its first frame to the proxy's word that it has let the epoch out. No frame of the
   * epoch waited longer, but for what the first word needed to get here and the second one did not.
   */
  readonly delay = new Distribution();
  /** From the start of one checkpoint to the start of the next. */
  readonly epoch = new Distribution();
  /** They only grow. Full copies are not among them. */
  readonly counters = {
    ...{ epochsCommitted: 0, checkpointBytes: 0, dirtyPages: 0, copiesGivenUp: 0 },
    /** Bytes of committed ones as they were sent, packed or not, and milliseconds that packing took. */
    ...{ sentBytes: 0, packMs: 0 },
  };
  /** Checkpoints that were committed, by the effort with which they were packed. */
  readonly efforts = counts(PACK_LEVELS);
  /** Pages in those that were packed, by the form in which they were sent. */
  readonly packedPages = counts(PACKED_KINDS);
  /** How the newest committed checkpoint was sent; undefined before one. */
  lastSent: SentFigures | undefined;
  /** Pages of the newest checkpoint; undefined before one. */
  lastPages: number | undefined;
  /** By cause; failovers to this host. */
  readonly failovers = counts(FAILOVER_CAUSES);
  /** Events that management tools were told, by name. */
  readonly events = counts(EVENTS);
  /** Of protections that have ended. */
  readonly work: WorkCounters = { ...NO_WORK };
  readonly history: History;
  /** Unix time, milliseconds, of the newest commit, also of a full copy; undefined before one. */
  lastCommitAt: number | undefined;
  readonly #clock: Clock;
  readonly #held = new HeldOutput();
  /** Monotonic; undefined before the first checkpoint of a protection. */
  #startedAt: number | undefined;

  constructor(clock: Clock, state: HostStateName) {
    this.#clock = clock;
    this.history = new History(Date.now().toString(36), state, clock.now());
  }

  /** A protection takes checkpoints from now on: its full copy is committed. */
  activated(): void {
    this.lastCommitAt = Date.now();
    this.#startedAt = undefined;
  }

  /** A checkpoint starts. */
  started(): void {
    const now = this.#clock.now();
    if (this.#startedAt !== undefined) this.epoch.record(now - this.#startedAt);
    this.#startedAt = now;
  }

  /** A checkpoint is staged and the guest runs on. `inFlight`: how many are staged and not committed. */
  staged(pauseMs: number, bytes: number, pages: number, inFlight: number): void {
    this.pause.record(pauseMs);
    this.counters.checkpointBytes += bytes;
    this.counters.dirtyPages += pages;
    this.lastPages = pages;
    this.history.staged(pauseMs, bytes, pages, inFlight, this.#clock.now());
  }

  /** The backup has committed a checkpoint, `commitMs` after it was staged. */
  committed(commitMs: number): void {
    this.commit.record(commitMs);
    this.counters.epochsCommitted++;
    this.lastCommitAt = Date.now();
    this.history.committed(commitMs, this.#clock.now());
  }

  /** What was sent of a checkpoint that is committed. */
  sent(figures: SentFigures): void {
    if (figures.full) return;
    const bytes = figures.sentBytes + figures.deviceBytes;
    this.counters.sentBytes += bytes;
    this.counters.packMs += figures.packMs;
    this.efforts[figures.level]++;
    for (const kind of PACKED_KINDS) this.packedPages[kind] += figures.pages[kind];
    this.lastSent = figures;
    this.history.sent(bytes, this.#clock.now());
  }

  /** A protection has ended, and this is what it had counted. */
  ended(work: WorkCounters): void {
    for (const name of Object.keys(NO_WORK) as (keyof WorkCounters)[])
      this.work[name] += work[name];
  }

  failedOver(cause: FailoverCause): void {
    this.failovers[cause]++;
  }

  event(name: string): void {
    this.events[name] = (this.events[name] ?? 0) + 1;
  }

  /** The first frame of `epoch` waits in the proxy. */
  outputPending(epoch: number): void {
    this.#held.pending(epoch, this.#clock.now());
  }

  /** `epoch` is sealed, with `bytes`. */
  outputSealed(epoch: number, bytes: number): void {
    this.#held.sealed(epoch, bytes);
    this.history.held(this.#held.sealedBytes, this.#clock.now());
  }

  /** The proxy has let out everything up to `epoch`. */
  outputReleased(epoch: number): void {
    const now = this.#clock.now();
    this.#held.released(epoch, now, delayMs => {
      this.delay.record(delayMs);
      this.history.released(delayMs, now);
    });
  }

  /** What the proxy held is lost. */
  outputDropped(): void {
    this.#held.dropped();
  }

  /** The proxy was asked, and holds `bytes`. */
  sawHeld(bytes: number): void {
    this.history.held(bytes, this.#clock.now());
  }
}

function counts<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map(name => [name, 0])) as Record<Name, number>;
}
