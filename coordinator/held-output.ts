/**
 * What waits in the proxy, as far as its owner knows: since when, and how much of it is sealed. Pure.
 *
 * Invariant: epochs are in rising order. At most EPOCHS_MAX are kept, as many as a proxy seals; of more the oldest is
 * forgotten, and its delay not told.
 */
const EPOCHS_MAX = 1024;

interface Waiting {
  readonly epoch: number;
  /** Monotonic milliseconds of its first frame; undefined for an epoch without one. */
  readonly pendingAt: number | undefined;
  /** Of an epoch that is sealed; before that, 0. */
  sealedBytes: number;
}

export class HeldOutput {
  readonly #waiting: Waiting[] = [];
  #sealedBytes = 0;

  /** Bytes of sealed epochs that were not released: all that is held, at the moment of a seal. */
  get sealedBytes(): number {
    return this.#sealedBytes;
  }

  /** `epoch` has its first frame. */
  pending(epoch: number, now: number): void {
    if (epoch > this.#newest) this.#add({ epoch, pendingAt: now, sealedBytes: 0 });
  }

  /** `epoch` ends, with `bytes`. */
  sealed(epoch: number, bytes: number): void {
    if (epoch > this.#newest) this.#add({ epoch, pendingAt: undefined, sealedBytes: 0 });
    const waiting = this.#waiting.findLast(each => each.epoch === epoch);
    if (!waiting) return;
    this.#sealedBytes += bytes - waiting.sealedBytes;
    waiting.sealedBytes = bytes;
  }

  /** All epochs up to `epoch` have left: gives to `told` how long the first frame of each has waited, milliseconds. */
  released(epoch: number, now: number, told: (delayMs: number) => void): void {
    while (this.#waiting.length > 0 && this.#waiting[0]!.epoch <= epoch) {
      const { pendingAt, sealedBytes } = this.#waiting.shift()!;
      this.#sealedBytes -= sealedBytes;
      if (pendingAt !== undefined) told(now - pendingAt);
    }
  }

  /** All that was held is lost. */
  dropped(): void {
    this.#waiting.length = 0;
    this.#sealedBytes = 0;
  }

  get #newest(): number {
    return this.#waiting.at(-1)?.epoch ?? -1;
  }

  #add(waiting: Waiting): void {
    this.#waiting.push(waiting);
    if (this.#waiting.length > EPOCHS_MAX) this.#sealedBytes -= this.#waiting.shift()!.sealedBytes;
  }
}
