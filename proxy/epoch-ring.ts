/**
 * Which captured frames belong to which epoch, and which of them may leave. Pure: it holds counters, never a frame.
 *
 * Frames are numbered by counters that only grow; the ring of epochs keeps, for every sealed epoch that is not released
 * yet, the number of the first frame after it.
 *
 *   sent ≤ released ≤ sealed ≤ captured               frames
 *          captured - sent ≤ slots                    the bound on frames
 *   releasedEpoch ≤ sealedEpoch = openEpoch - 1
 *          sealedEpoch - releasedEpoch ≤ epochs       the bound on epochs
 *
 * Asserted after every mutation. A discarded frame counts as released, without bytes: whoever sends must skip it.
 *
 * | operation | legal                                    | effect                                     |
 * |-----------|------------------------------------------|--------------------------------------------|
 * | open(n)   | all frames are released, or n is open    | n is the open epoch, all before n released |
 * | capture   | there are free slots                     | frames join the open epoch                 |
 * | seal(n)   | n is open, a boundary is free            | boundary after the last frame, n + 1 opens |
 * | release(n)| n is sealed                              | frames of epochs ≤ n may leave             |
 * | pass      | all sealed epochs are released           | frames of the open epoch may leave         |
 * | send      | the frames are released                  | their slots are free                       |
 * | discard   | always                                   | unreleased frames are released, to be skipped |
 */
import assert from 'node:assert/strict';
import { CurlingError } from '../common/errors.ts';

export interface EpochRingOptions {
  /** Frames that may be held at once. */
  slots: number;
  /** Epochs that may be sealed and not released at once. */
  epochs: number;
}

/** A number of frames and their bytes. */
export interface FrameCount {
  frames: number;
  bytes: number;
}

export class EpochRing {
  readonly slots: number;
  readonly epochs: number;
  readonly #frameBoundaries: Float64Array;
  readonly #byteBoundaries: Float64Array;
  #sent = 0;
  #released = 0;
  #sealed = 0;
  #captured = 0;
  #sentBytes = 0;
  #releasedBytes = 0;
  #sealedBytes = 0;
  #capturedBytes = 0;
  #openEpoch = 1;
  #releasedEpoch = 0;
  /** The epochs before the open one that have frames which are not sent: each with the number of the first frame after it. */
  readonly #leaving: { epoch: number; end: number }[] = [];

  constructor(options: EpochRingOptions) {
    assert(Number.isSafeInteger(options.slots) && options.slots > 0);
    assert(Number.isSafeInteger(options.epochs) && options.epochs > 0);
    this.slots = options.slots;
    this.epochs = options.epochs;
    this.#frameBoundaries = new Float64Array(options.epochs);
    this.#byteBoundaries = new Float64Array(options.epochs);
  }

  /** The epoch that captured frames join. */
  get openEpoch(): number {
    return this.#openEpoch;
  }

  /** The newest sealed epoch. */
  get sealedEpoch(): number {
    return this.#openEpoch - 1;
  }

  /** The newest epoch whose frames may leave. */
  get releasedEpoch(): number {
    return this.#releasedEpoch;
  }

  /** The number of the next frame to send. */
  get sent(): number {
    return this.#sent;
  }

  /** The number of the first frame that must not leave yet. */
  get released(): number {
    return this.#released;
  }

  /** The number that the next captured frame gets. */
  get captured(): number {
    return this.#captured;
  }

  /** All that occupies the buffer: released or not, but not sent. */
  get held(): FrameCount {
    return {
      frames: this.#captured - this.#sent,
      bytes: this.#capturedBytes - this.#sentBytes,
    };
  }

  /** Frames that may leave and have not. */
  get sendable(): number {
    return this.#released - this.#sent;
  }

  /** The epoch of the next frame to send. Frames that leave while their epoch is open have its number too. */
  get sendingEpoch(): number {
    return this.#leaving[0]?.epoch ?? this.#openEpoch;
  }

  /** Frames of that epoch that may leave and have not. */
  get sendableOfEpoch(): number {
    return Math.min(this.#released, this.#leaving[0]?.end ?? this.#captured) - this.#sent;
  }

  /** Slots for further frames. */
  get free(): number {
    return this.slots - (this.#captured - this.#sent);
  }

  /** Whether the open epoch has frames. */
  get pending(): boolean {
    return this.#captured > this.#sealed;
  }

  /**
   * Makes `epoch` the open one and counts all before it as released.
   * @throws CurlingError CURLING_EPOCH when frames are held, not released, under another epoch.
   */
  open(epoch: number): void {
    this.checkOpen(epoch);
    if (epoch === this.#openEpoch) return;
    assert(Number.isSafeInteger(epoch) && epoch >= 1);
    this.#leave();
    this.#openEpoch = epoch;
    this.#releasedEpoch = epoch - 1;
    this.#check();
  }

  /** Throws what `open` would, and changes nothing. */
  checkOpen(epoch: number): void {
    const frames = this.#captured - this.#released;
    if (epoch === this.#openEpoch || frames === 0) return;
    const text = `epoch ${epoch} cannot open: ${frames} frames are held, the open epoch is ${this.#openEpoch}`;
    throw new CurlingError('CURLING_EPOCH', text);
  }

  /** Adds `frames` frames of `bytes` bytes together to the open epoch. At most `free` of them. */
  capture(frames: number, bytes: number): void {
    this.#captured += frames;
    this.#capturedBytes += bytes;
    this.#check();
  }

  /**
   * Sets the boundary of the open epoch and opens the next one.
   * @returns What the sealed epoch holds.
   * @throws CurlingError CURLING_EPOCH when `epoch` is not the open one, or too many wait for their release.
   */
  seal(epoch: number): FrameCount {
    if (epoch !== this.#openEpoch) {
      const text = `epoch ${epoch} cannot be sealed: the open epoch is ${this.#openEpoch}`;
      throw new CurlingError('CURLING_EPOCH', text);
    }
    if (this.sealedEpoch - this.#releasedEpoch >= this.epochs) {
      const text = `epoch ${epoch} cannot be sealed: ${this.epochs} sealed epochs wait for their release`;
      throw new CurlingError('CURLING_EPOCH', text);
    }
    const count = {
      frames: this.#captured - this.#sealed,
      bytes: this.#capturedBytes - this.#sealedBytes,
    };
    this.#frameBoundaries[epoch % this.epochs] = this.#captured;
    this.#byteBoundaries[epoch % this.epochs] = this.#capturedBytes;
    this.#sealed = this.#captured;
    this.#sealedBytes = this.#capturedBytes;
    this.#leave();
    this.#openEpoch++;
    this.#check();
    return count;
  }

  /**
   * Lets the frames of all epochs up to `epoch` leave. Does nothing when they may already.
   * @throws CurlingError CURLING_EPOCH when `epoch` is not sealed.
   */
  release(epoch: number): void {
    if (epoch > this.sealedEpoch) {
      const text = `epoch ${epoch} cannot be released: the newest sealed epoch is ${this.sealedEpoch}`;
      throw new CurlingError('CURLING_EPOCH', text);
    }
    if (epoch <= this.#releasedEpoch) return;
    this.#releasedEpoch = epoch;
    this.#released = this.#frameBoundaries[epoch % this.epochs]!;
    this.#releasedBytes = this.#byteBoundaries[epoch % this.epochs]!;
    this.#check();
  }

  /** Lets the frames of the open epoch leave, which stays open. No sealed epoch may wait for its release. */
  pass(): void {
    assert(this.#releasedEpoch === this.sealedEpoch);
    this.#released = this.#sealed = this.#captured;
    this.#releasedBytes = this.#sealedBytes = this.#capturedBytes;
    this.#check();
  }

  /** Counts the next `frames` released frames, `bytes` bytes together, as gone. */
  send(frames: number, bytes: number): void {
    this.#sent += frames;
    this.#sentBytes += bytes;
    while (this.#leaving.length > 0 && this.#leaving[0]!.end <= this.#sent) this.#leaving.shift();
    this.#check();
  }

  /**
   * Gives up every frame that is not released, [released, captured) before the call: they count as released, without
   * their bytes, and whoever sends must skip them. Sealed epochs stay sealed, empty.
   * @returns What was given up.
   */
  discard(): FrameCount {
    const count = {
      frames: this.#captured - this.#released,
      bytes: this.#capturedBytes - this.#releasedBytes,
    };
    this.#released = this.#sealed = this.#captured;
    this.#capturedBytes = this.#sealedBytes = this.#releasedBytes;
    this.#frameBoundaries.fill(this.#released);
    this.#byteBoundaries.fill(this.#releasedBytes);
    this.#check();
    return count;
  }

  /** The open epoch ends behind the last captured frame; one without frames that are to be sent is not kept. */
  #leave(): void {
    const start = this.#leaving.at(-1)?.end ?? this.#sent;
    if (this.#captured > start) this.#leaving.push({ epoch: this.#openEpoch, end: this.#captured });
  }

  #check(): void {
    assert(this.#sent <= this.#released);
    assert(this.#released <= this.#sealed);
    assert(this.#sealed <= this.#captured);
    assert(this.#captured - this.#sent <= this.slots);
    assert(this.#sentBytes <= this.#releasedBytes);
    assert(this.#releasedBytes <= this.#sealedBytes);
    assert(this.#sealedBytes <= this.#capturedBytes);
    assert(this.#releasedEpoch < this.#openEpoch);
    assert(this.sealedEpoch - this.#releasedEpoch <= this.epochs);
    assert(this.#leaving.length <= this.#captured - this.#sent);
  }
}
