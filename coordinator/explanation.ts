/**
 * Why a host is as it is, in words that are true now. The last thing worth saying stands, unless
 * something stands in the way of what the host wants: that goes first, and goes when it is over.
 * Pure.
 */

/** What can stand in the way; the first one that does is said. */
const TROUBLES = ['gateway', 'witness'] as const;
export type Trouble = (typeof TROUBLES)[number];

export class Explanation {
  #said: string;
  readonly #troubles = new Map<Trouble, string>();

  constructor(said: string) {
    this.#said = said;
  }

  get text(): string {
    for (const trouble of TROUBLES) {
      const text = this.#troubles.get(trouble);
      if (text !== undefined) return text;
    }
    return this.#said;
  }

  /** Something happened. */
  say(text: string): void {
    this.#said = text;
  }

  /** Something stands in the way, or with null no longer does. */
  trouble(trouble: Trouble, text: string | null): void {
    if (text === null) this.#troubles.delete(trouble);
    else this.#troubles.set(trouble, text);
  }
}
