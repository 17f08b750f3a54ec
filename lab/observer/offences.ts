/** The first offences of each kind, in words; those who find them count them. */

/** What can be wrong with what the guest said outside. */
export type OffenceKind = 'repeated' | 'contradicted' | 'uncommitted' | 'brokenChain';

/** Invariant: at most `textsMax` texts of each kind. */
export class Offences {
  readonly #textsMax: number;
  readonly #texts = new Map<OffenceKind, string[]>();

  constructor(textsMax = 5) {
    this.#textsMax = textsMax;
  }

  /** Keeps one if there is room; `text` is only called then. */
  add(kind: OffenceKind, text: () => string): void {
    const texts = this.#texts.get(kind) ?? [];
    if (texts.length < this.#textsMax) this.#texts.set(kind, [...texts, `${kind}: ${text()}`]);
  }

  texts(): string[] {
    return [...this.#texts.values()].flat();
  }
}

/** A wall-clock instant (milliseconds since 1970) as the time of day with microseconds, in UTC. */
export function timeOfDay(atMs: number): string {
  const wholeMs = Math.floor(atMs);
  const us = Math.floor((atMs - wholeMs) * 1000);
  return new Date(wholeMs).toISOString().slice(11, 23) + String(us).padStart(3, '0');
}
