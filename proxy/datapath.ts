/**
 * The datapath of a guest: the paths of all its taps, sealed and released as one. One thread runs it, so the frames of a
 * tap keep their order. Between taps there is none, as there is none between the queues of two network cards.
 */
import { CurlingError } from '../common/errors.ts';
import type { StopAt } from '../common/test-stop.ts';
import { crossAllProcessors } from './cpu-barrier.ts';
import type { FrameCount } from './epoch-ring.ts';
import { FrameRecord } from './frame-record.ts';
import { type Moment, SystemClock } from './moment.ts';
import { RecordRing } from './record-ring.ts';
import { TapPath } from './tap-path.ts';
import type {
  DatapathCounters,
  DatapathEvent,
  DatapathSetup,
  DatapathStatus,
} from './thread-messages.ts';

/** How many steps a command captures or discards at the most; far more than what was there when it began. */
const DRAIN_STEPS_MAX = 1 << 20;
/** How many steps without progress `passAll` accepts; the caller waits between them. */
const PASS_STALLS_MAX = 1000;

export class Datapath {
  readonly #paths: TapPath[] = [];
  readonly #setup: DatapathSetup;
  readonly #post: (event: DatapathEvent) => void;
  readonly #stopAt: StopAt | undefined;
  readonly #clock = new SystemClock();
  readonly #counters: DatapathCounters = {
    framesCaptured: 0,
    bytesCaptured: 0,
    framesSent: 0,
    bytesSent: 0,
    framesDiscarded: 0,
    bytesDiscarded: 0,
    framesLarge: 0,
    framesTagged: 0,
    kernelDrops: 0,
    truncated: 0,
    receiveErrors: 0,
    sendRetries: 0,
    sendErrors: 0,
    bufferFullEpisodes: 0,
    epochsSealed: 0,
    guestMacsIgnored: 0,
  };
  #capturing = false;
  #passing = false;
  /** Whether OUTPUT_PENDING was said for the open epoch. */
  #announced = false;
  #full = false;

  /**
   * Maps the memory and creates the own taps. Captures nothing yet.
   * @param stopAt For tests: frames leave one by one then, so that a release has a middle.
   * @throws CurlingError of TapPath.
   */
  constructor(
    setup: DatapathSetup,
    post: (event: DatapathEvent) => void,
    stopAt?: StopAt | undefined,
  ) {
    this.#setup = setup;
    this.#post = post;
    this.#stopAt = stopAt;
    try {
      const recordOf = this.#recorder();
      for (const [tap, tapSetup] of setup.taps.entries()) {
        const options = {
          bufferBytes: Math.floor(setup.bufferBytes / setup.taps.length),
          epochsMax: setup.epochsMax,
          counters: this.#counters,
          clock: this.#clock,
          onGuestMac: (mac: string) => post({ event: 'guest-mac', tap, mac }),
          record: recordOf(tap),
        };
        this.#paths.push(new TapPath(tapSetup, options));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The descriptors to watch for new frames. */
  get captureFds(): number[] {
    return this.#paths.flatMap(path => path.captureFds);
  }

  /** Whether frames may leave right now. */
  get sending(): boolean {
    return this.#paths.some(path => path.sending);
  }

  /** Whether frames may leave that an own tap has put off: to be tried again soon. */
  get stalled(): boolean {
    return this.#paths.some(path => path.stalled);
  }

  /**
   * Starts to capture under `epoch`, by default the open one; when capture is on, only sets the open epoch. Ends `pass`.
   * @throws CurlingError CURLING_EPOCH when frames are held under another epoch; CURLING_DATAPATH.
   */
  capture(epoch: number | undefined): { epoch: number } {
    if (this.#passing) {
      this.#drain();
      this.#setPassing(false);
    }
    if (epoch !== undefined) {
      for (const path of this.#paths) path.epochs.checkOpen(epoch);
      for (const path of this.#paths) path.epochs.open(epoch);
    }
    if (!this.#capturing) {
      this.#announced = false;
      this.#startPaths();
    }
    return { epoch: this.#openEpoch };
  }

  /**
   * Seals the open epoch behind all that the guest has sent so far.
   * @throws CurlingError CURLING_NOT_HOLDING, CURLING_EPOCH.
   */
  seal(epoch = this.#openEpoch): FrameCount & { epoch: number } {
    if (!this.#capturing || this.#passing) {
      throw new CurlingError(
        'CURLING_NOT_HOLDING',
        'nothing is held, so nothing can be sealed; hold first',
      );
    }
    // What the buffer has no room for stays in the kernel's queue and joins the next epoch: it leaves later than it
    // might, never earlier.
    if (epoch === this.#openEpoch) this.#drain();
    const total = { frames: 0, bytes: 0 };
    // The first path throws whatever the others would: their epochs are equal.
    for (const path of this.#paths) addTo(total, path.epochs.seal(epoch));
    this.#announced = false;
    this.#counters.epochsSealed++;
    return { epoch, ...total };
  }

  /**
   * Lets all epochs up to `epoch` leave; `send` carries them out.
   * @throws CurlingError CURLING_EPOCH
   */
  release(epoch: number): Record<string, never> {
    for (const path of this.#paths) path.epochs.release(epoch);
    return {};
  }

  /** Drops all that is held and not released, with what waits to be captured. */
  discard(): FrameCount {
    this.#announced = true; // what is captured here is no output that somebody waits for
    const total = { frames: 0, bytes: 0 };
    for (const path of this.#paths) this.#discardPath(path, total);
    this.#counters.framesDiscarded += total.frames;
    this.#counters.bytesDiscarded += total.bytes;
    this.#announced = false;
    this.#full = this.#paths.some(path => path.full);
    return total;
  }

  /**
   * Lets all that is held leave, and whatever is captured from now on at once, in order.
   * @throws CurlingError CURLING_NOT_HOLDING in bypass.
   */
  pass(): Record<string, never> {
    if (!this.#capturing) {
      const text = 'nothing is captured, so nothing can pass; hold first';
      throw new CurlingError('CURLING_NOT_HOLDING', text);
    }
    this.#drain();
    this.#releaseAll();
    this.#setPassing(true);
    return {};
  }

  /**
   * Stops to capture, and sends all that was captured, in order. On return no frame is between a packet ring and the
   * ingress filters any more, so none that was sent here can pass an opened filter.
   * @param wait Called when an own tap takes no frame at the moment; waits a millisecond or so.
   * @throws CurlingError CURLING_DATAPATH when it takes none for long; capture goes on then.
   */
  passAll(wait: () => void): Record<string, never> {
    if (!this.#capturing) return {};
    try {
      for (const path of this.#paths) path.refuse();
      if (!crossAllProcessors()) for (const path of this.#paths) path.leave();
      this.#drain();
      this.#releaseAll();
      for (const path of this.#paths) this.#sendAll(path, wait);
    } catch (error) {
      for (const path of this.#paths) path.resume();
      throw error;
    }
    for (const path of this.#paths) path.stop();
    this.#capturing = false;
    this.#setPassing(false);
    this.#full = false;
    return {};
  }

  /** Does what takes long and nobody waits for. */
  tidy(): void {
    for (const path of this.#paths) path.tidy();
  }

  /**
   * Captures a bounded number of frames.
   * @returns Whether there are more, and room for them.
   */
  step(): boolean {
    if (!this.#capturing) return false;
    let more = false;
    for (const path of this.#paths) {
      this.#capture(path);
      if (path.waiting) more = true;
    }
    return more;
  }

  /**
   * Sends a bounded number of released frames.
   * @returns Whether room was made that a frame may wait for.
   */
  send(): boolean {
    let done = 0;
    for (const path of this.#paths) done += path.send(this.#stopAt ? 1 : undefined);
    if (this.#stopAt && done > 0 && this.sending) this.#stopAt('releasing');
    if (this.#full && done > 0) this.#full = this.#paths.some(path => path.full);
    return done > 0 && this.#capturing && this.#paths.some(path => path.waiting);
  }

  status(): DatapathStatus {
    const first = this.#paths[0]!.epochs;
    const { openEpoch, sealedEpoch, releasedEpoch } = first;
    const held = { frames: 0, bytes: 0, framesMax: 0, bytesMax: this.#setup.bufferBytes };
    for (const path of this.#paths) {
      addTo(held, path.epochs.held);
      held.framesMax += path.framesMax;
    }
    return {
      epoch: { open: openEpoch, sealed: sealedEpoch, released: releasedEpoch },
      held,
      pending: this.#paths.some(path => path.epochs.pending),
      guestMacs: this.#paths.map(path => path.guestMacs),
    };
  }

  counters(): DatapathCounters {
    for (const path of this.#paths) path.readStatistics();
    const ignored = this.#paths.reduce((sum, path) => sum + path.guestMacsIgnored, 0);
    return { ...this.#counters, guestMacsIgnored: ignored };
  }

  /** Closes everything; what is held is gone. */
  close(): void {
    for (const path of this.#paths.splice(0)) path.close();
    this.#clock.close();
  }

  /** The taps share one ring, so that the file has what left in one order. */
  #recorder(): (tap: number) => FrameRecord | undefined {
    const { record } = this.#setup;
    if (!record) return () => undefined;
    const ring = new RecordRing(record.memory);
    return tap => new FrameRecord(ring, tap, record.snapBytes, this.#clock);
  }

  /** When one cannot start, none captures. */
  #startPaths(): void {
    try {
      for (const path of this.#paths) path.start();
    } catch (error) {
      for (const path of this.#paths) {
        path.refuse();
        path.stop();
        path.leave();
      }
      throw error;
    }
    this.#capturing = true;
  }

  #setPassing(passing: boolean): void {
    this.#passing = passing;
    for (const path of this.#paths) path.passing = passing;
  }

  get #openEpoch(): number {
    return this.#paths[0]!.epochs.openEpoch;
  }

  /**
   * Captures all that the guest has sent so far, as far as there is room. What it sends meanwhile is left: else a guest
   * that sends faster than this captures would never let a command end.
   */
  #drain(): void {
    const now = this.#clock.now();
    for (const path of this.#paths) {
      for (let steps = 0; steps < DRAIN_STEPS_MAX; steps++) {
        if (this.#capture(path, now) === 0) break;
      }
    }
  }

  #discardPath(path: TapPath, total: FrameCount): void {
    const now = this.#clock.now();
    for (let steps = 0; steps < DRAIN_STEPS_MAX; steps++) {
      addTo(total, path.discard());
      if (!this.#capturing || this.#passing) return;
      if (path.capture(now) > 0) continue;
      // Only released frames are held now; they may have the room that the next one waits for.
      const room = path.epochs.free > 0 && !path.blocked;
      if (room || path.send() === 0) return;
    }
  }

  #capture(path: TapPath, until?: Moment): number {
    const taken = path.capture(until);
    if (path.full && !this.#full) {
      this.#full = true;
      this.#counters.bufferFullEpisodes++;
      this.#post({ event: 'full', epoch: this.#openEpoch });
    }
    if (taken === 0) return 0;
    if (this.#passing) path.epochs.pass();
    else if (!this.#announced) {
      this.#announced = true;
      this.#post({ event: 'pending', epoch: this.#openEpoch });
    }
    return taken;
  }

  /** Releases all that was captured; the open epoch is sealed and released if it has frames. */
  #releaseAll(): void {
    const pending = this.#paths.some(path => path.epochs.pending);
    for (const { epochs } of this.#paths) {
      epochs.release(epochs.sealedEpoch);
      if (!pending) continue;
      epochs.seal(epochs.openEpoch);
      epochs.release(epochs.sealedEpoch);
    }
    this.#announced = false;
  }

  #sendAll(path: TapPath, wait: () => void): void {
    const { epochs } = path;
    for (let stalls = 0; ; ) {
      const taken = path.capture();
      epochs.pass();
      if (path.send() + taken > 0) {
        stalls = 0;
        continue;
      }
      const { frames } = epochs.held;
      if (frames === 0) return;
      if (++stalls > PASS_STALLS_MAX) {
        const text = `${path.tap.name} takes no frames; ${frames} are still to be sent`;
        throw new CurlingError('CURLING_DATAPATH', text);
      }
      wait();
    }
  }
}

function addTo(total: FrameCount, count: FrameCount): void {
  total.frames += count.frames;
  total.bytes += count.bytes;
}
