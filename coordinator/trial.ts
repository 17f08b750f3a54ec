/**
 * The trial load: a full copy is loaded into a spare QEMU before it is acknowledged, so that a state which cannot be
 * loaded is found while the primary still runs the guest. A copy that failed is never acknowledged, and there is no older
 * one to fall back to: the pair is refused, and the same primary may try again after a while.
 */
import type { Clock } from '../common/clock.ts';
import { CurlingError, messageOf } from '../common/errors.ts';
import type { CommittedGuest } from './checkpoint/store.ts';
import { encodeResume } from './qemu/resume.ts';

/** After the first failure; twice as much after each further one. */
const REST_MS = 10_000;
const REST_MAX_MS = 300_000;
/** What the other host is told of an error, in characters: its beginning and, more of it, its end. */
const HEAD_CHARACTERS = 150;
const TAIL_CHARACTERS = 500;

/** Where a state is tried: the standby keeper. */
export interface TrialPlace {
  tryLoad(stream: readonly Buffer[]): Promise<void>;
}

/** A failed trial of the full copy of one incarnation of a primary. */
interface Failure {
  sender: string;
  text: string;
  times: number;
  untilMs: number;
}

/** The stream with which a QEMU becomes this guest. */
export function resumeStream({ layout, device, otherBlocks }: CommittedGuest): Buffer[] {
  const blocks = layout.blocks.map((_, index) => otherBlocks.get(index));
  return encodeResume({ layout, device, blocks });
}

export class Trial {
  readonly #clock: Clock;
  readonly #place: TrialPlace;
  #failure: Failure | undefined;
  #running: Promise<void> | undefined;
  #lastMs: number | null = null;

  constructor(clock: Clock, place: TrialPlace) {
    this.#clock = clock;
    this.#place = place;
  }

  /** Milliseconds from the commit of the newest full copy until it was loaded and the standby was up; null before. */
  get lastMs(): number | null {
    return this.#lastMs;
  }

  /** Why the newest full copy was refused; undefined when it was not. */
  get failure(): string | undefined {
    return this.#failure?.text;
  }

  get underWay(): boolean {
    return this.#running !== undefined;
  }

  /** Returns when no trial is under way. */
  async idle(): Promise<void> {
    await this.#running?.catch(() => {});
  }

  /**
   * Refuses a primary whose full copy has just failed.
   * @param sender The incarnation of the primary.
   * @throws CurlingError CURLING_QEMU_RESUME
   */
  admit(sender: string): void {
    const failure = this.#failure;
    if (!failure || failure.sender !== sender) return;
    const waitMs = failure.untilMs - this.#clock.now();
    if (waitMs <= 0) return;
    const again = new Date(Date.now() + waitMs).toISOString().slice(11, 19);
    const text = `${failure.text} (tried again after ${again} UTC)`;
    throw new CurlingError('CURLING_QEMU_RESUME', text);
  }

  /**
   * Loads a committed full copy into a spare QEMU; on return the standby is up.
   * @param wanted Asked when it failed: a trial that nobody waits for any more is no failure.
   * @throws CurlingError CURLING_QEMU_RESUME, with a text that is short enough for the other host
   */
  async run(guest: CommittedGuest, sender: string, wanted: () => boolean): Promise<void> {
    const start = this.#clock.now();
    this.#running = this.#place.tryLoad(resumeStream(guest));
    try {
      await this.#running;
      this.#failure = undefined;
      this.#lastMs = this.#clock.now() - start;
    } catch (error) {
      const text = `the trial load of the full copy failed: ${shorten(messageOf(error))}`;
      if (wanted()) this.#failed(sender, text);
      throw new CurlingError('CURLING_QEMU_RESUME', text, { cause: error });
    } finally {
      this.#running = undefined;
    }
  }

  #failed(sender: string, text: string): void {
    const before = this.#failure?.sender === sender ? this.#failure.times : 0;
    const restMs = Math.min(REST_MAX_MS, REST_MS * 2 ** Math.min(before, 20));
    const untilMs = this.#clock.now() + restMs;
    this.#failure = { sender, text, times: before + 1, untilMs };
  }
}

/** An error's text for those who are told of it; QEMU's own can be of any length. */
export function shorten(text: string): string {
  if (text.length <= HEAD_CHARACTERS + TAIL_CHARACTERS) return text;
  return `${text.slice(0, HEAD_CHARACTERS)} … ${text.slice(-TAIL_CHARACTERS)}`;
}
