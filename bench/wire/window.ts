/** What one end of a transfer did between two moments of it: bytes, time, processor time of the whole process. */

export interface Share {
  bytes: number;
  ms: number;
  cpuMs: number;
}

/** Counts bytes from `warmMs` after the first ones, for `ms`. `done` settles with what it saw. */
export class Window {
  readonly done: Promise<Share>;
  readonly #warmMs: number;
  readonly #ms: number;
  #settle!: (share: Share) => void;
  #bytes = 0;
  #firstMs: number | undefined;
  #begun: { atMs: number; bytes: number; cpuMs: number } | undefined;
  #over = false;

  constructor(warmMs: number, ms: number) {
    this.#warmMs = warmMs;
    this.#ms = ms;
    this.done = new Promise(resolve => {
      this.#settle = resolve;
    });
  }

  /** Whether the window is closed: what comes now does not count. */
  get over(): boolean {
    return this.#over;
  }

  add(bytes: number, nowMs: number = performance.now()): void {
    if (this.#over) return;
    this.#firstMs ??= nowMs;
    this.#bytes += bytes;
    if (!this.#begun) {
      if (nowMs - this.#firstMs < this.#warmMs) return;
      this.#begun = { atMs: nowMs, bytes: this.#bytes, cpuMs: cpuMs() };
      return;
    }
    const { atMs, bytes: before, cpuMs: used } = this.#begun;
    if (nowMs - atMs < this.#ms) return;
    this.#over = true;
    this.#settle({ bytes: this.#bytes - before, ms: nowMs - atMs, cpuMs: cpuMs() - used });
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
