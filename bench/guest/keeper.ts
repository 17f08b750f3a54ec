/** Keeps what is expensive to make over many runs, and makes it anew after a run that failed: it may be the reason. */

export interface Closable {
  close(): Promise<void>;
}

/** Invariant: at most one is there; after `close` there is none until the next `open` or `use`. */
export class Keeper<T extends Closable> {
  readonly #make: (signal: AbortSignal) => Promise<T>;
  #kept: T | undefined;

  constructor(make: (signal: AbortSignal) => Promise<T>) {
    this.#make = make;
  }

  async open(signal: AbortSignal): Promise<T> {
    this.#kept ??= await this.#make(signal);
    return this.#kept;
  }

  /** @throws as `make` and `work` */
  async use<R>(signal: AbortSignal, work: (kept: T) => Promise<R>): Promise<R> {
    const kept = await this.open(signal);
    try {
      return await work(kept);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    await kept?.close();
  }
}

/** Makes something of a thing just made, which is closed again when that fails. */
export async function made<T extends Closable, R>(
  kept: T,
  work: (kept: T) => Promise<R>,
): Promise<R> {
  try {
    return await work(kept);
  } catch (error) {
    await kept.close();
    throw error;
  }
}
