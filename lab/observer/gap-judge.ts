/**
 * The guest's silence around given instants, and where it was heard first after them. Pure.
 * Instants are known beforehand, so only what concerns them is kept.
 */

/** An instant of interest, e.g. the death of a host. */
export interface Instant {
  name: string;
  atMs: number;
}

/**
 * Frames of the guest: RARP is its hypervisor announcing it, IP is the guest itself, other is ARP
 * and the like.
 */
export type FrameKind = 'rarp' | 'ip' | 'other';

export interface PortFirst {
  /** First frame of any kind after the instant. */
  anyMs: number;
  rarpMs: number | undefined;
  ipMs: number | undefined;
}

export interface Gap extends Instant {
  /**
   * The longest silence that ends after the instant and begins within the search window; IP and
   * ARP frames only.
   */
  silence: { startMs: number; endMs: number | undefined; durationMs: number | undefined };
  /** By host port. */
  firstAfter: Record<string, PortFirst>;
}

export class GapJudge {
  readonly #gaps: Gap[];
  readonly #windowMs: number;
  #last: number | undefined;

  /** @param windowMs How long after an instant a silence may begin and still belong to it. */
  constructor(instants: readonly Instant[], windowMs = 5000) {
    this.#windowMs = windowMs;
    this.#gaps = instants.map(instant => ({
      ...instant,
      silence: { startMs: instant.atMs, endMs: undefined, durationMs: undefined },
      firstAfter: {},
    }));
  }

  /** A frame of the guest, seen on the host port `where`; instants do not fall. */
  see(kind: FrameKind, where: string, atMs: number): void {
    for (const gap of this.#gaps) {
      if (atMs < gap.atMs) continue;
      gap.firstAfter[where] ??= { anyMs: atMs, rarpMs: undefined, ipMs: undefined };
      const first = gap.firstAfter[where];
      if (kind === 'rarp') first.rarpMs ??= atMs;
      if (kind === 'ip') first.ipMs ??= atMs;
      if (kind !== 'rarp') this.#silence(gap, atMs);
    }
    if (kind !== 'rarp') this.#last = atMs;
  }

  gaps(): Gap[] {
    return this.#gaps.map(gap => {
      if (gap.silence.endMs !== undefined || this.#last === undefined) return gap;
      // Nothing was heard after the instant: the silence has no end.
      return { ...gap, silence: { ...gap.silence, startMs: this.#last } };
    });
  }

  #silence(gap: Gap, atMs: number): void {
    const startMs = this.#last ?? gap.atMs;
    const durationMs = atMs - startMs;
    if (startMs > gap.atMs + this.#windowMs) return;
    if (gap.silence.durationMs !== undefined && durationMs <= gap.silence.durationMs) return;
    gap.silence = { startMs, endMs: atMs, durationMs };
  }
}
