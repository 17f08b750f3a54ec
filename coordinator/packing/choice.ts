/** How much effort a checkpoint gets before it is sent. Pure. */
import type { SentFigures } from './outlet.ts';
import type { Effort } from './packer.ts';

/** `plain`: none. */
export type PackLevel = 'plain' | Effort;

export const PACK_OPTIONS = ['never', 'always'] as const;
export type PackOption = (typeof PACK_OPTIONS)[number];

export interface PackChoice {
  /** For the checkpoint that begins now, or the next part of a full copy. */
  next(full: boolean): PackLevel;
  /** A checkpoint was sent so, and the backup has committed it now. */
  committed(figures: SentFigures, nowMs: number): void;
  /** A part of a full copy was handed over so. */
  part(figures: SentFigures, nowMs: number): void;
}

/** The same for all. */
export class FixedChoice implements PackChoice {
  readonly #level: PackLevel;

  constructor(level: PackLevel) {
    this.#level = level;
  }

  next(): PackLevel {
    return this.#level;
  }

  committed(): void {
    // Nothing that was measured changes it.
  }

  part(): void {
    // As above.
  }
}
