/**
 * A Link that shares the way to the backup with other machines of this process: what is heavy waits here, in its order, and
 * is handed on in pieces when link-share.ts allows it. Everything goes straight through while nothing waits and this
 * machine is alone, or what it sends is light.
 */
import type { Clock } from '../../common/clock.ts';
import { HeavyWindow } from './heavy-window.ts';
import type { Link, Traffic } from './link.ts';
import { LIGHT_BYTES_MAX, type LinkShare, PRESENCE } from './link-share.ts';

const PIECE_BYTES = 64 << 10;
/** Between two looks at whether what waits may go on: a timer's shortest time. */
const LOOK_MS = 1;

interface Piece {
  bytes: Buffer;
  sent: (() => void) | undefined;
}

export interface SharedLinkOptions {
  link: Link;
  share: LinkShare;
  clock: Clock;
  /** Bytes that the kernel has and the other end has not acknowledged. */
  unacked(): number;
}

export class SharedLink implements Link {
  readonly #options: SharedLinkOptions;
  readonly #window = new HeavyWindow();
  readonly #waiting: Piece[] = [];
  #traffic: Traffic = 'none';
  #epochBytes = 0;
  /** Handed on, and not taken by the kernel yet. */
  #handedBytes = 0;
  /** The window alone kept what waits from being sent at the last look. */
  #limited = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SharedLinkOptions) {
    this.#options = options;
  }

  traffic(kind: Traffic): void {
    this.#traffic = kind;
    this.#epochBytes = 0;
    if (this.#waiting.length === 0) this.#tellPresence();
  }

  write(buffers: readonly Buffer[], sent?: () => void): void {
    const { link, share } = this.#options;
    if (this.#traffic === 'epoch') {
      const before = this.#epochBytes;
      for (const { length } of buffers) this.#epochBytes += length;
      if (before <= LIGHT_BYTES_MAX && this.#isHeavy) this.#tellPresence();
    }
    const heavy = this.#waiting.length > 0 || (this.#isHeavy && share.shared);
    if (!heavy) return link.write(buffers, sent);
    this.#wait(buffers, sent);
    if (!this.#timer) this.#pump();
  }

  end(): void {
    this.#flush();
    this.#options.share.presence = PRESENCE.none;
    this.#options.link.end();
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { sent } of this.#waiting.splice(0)) sent?.();
    this.#options.share.presence = PRESENCE.none;
    this.#options.link.destroy();
  }

  pause(): void {
    this.#options.link.pause();
  }

  resume(): void {
    this.#options.link.resume();
  }

  get #isHeavy(): boolean {
    return this.#traffic === 'full' || this.#epochBytes > LIGHT_BYTES_MAX;
  }

  #tellPresence(): void {
    const { share } = this.#options;
    if (this.#isHeavy) share.presence = PRESENCE.heavy;
    else if (this.#traffic === 'epoch') share.presence = PRESENCE.epoch;
    else share.presence = this.#traffic === 'none' ? PRESENCE.none : PRESENCE.protected;
  }

  #wait(buffers: readonly Buffer[], sent: (() => void) | undefined): void {
    for (const buffer of buffers) {
      for (let at = 0; at < buffer.length; at += PIECE_BYTES)
        this.#waiting.push({ bytes: buffer.subarray(at, at + PIECE_BYTES), sent: undefined });
    }
    const last = this.#waiting.at(-1)!;
    last.sent = sent;
  }

  /** Hands on what may go now; comes back while something waits. */
  #pump(): void {
    this.#timer = undefined;
    const { share, clock, unacked } = this.#options;
    while (this.#waiting.length > 0) {
      // Alone again: what waits goes, with the kernel's own limits.
      const windowBytes = share.shared
        ? this.#window.look(unacked() + this.#handedBytes, this.#limited)
        : Number.POSITIVE_INFINITY;
      this.#limited = windowBytes === 0;
      if (!share.mayHeavy(windowBytes, clock.now())) {
        this.#timer = setTimeout(() => this.#pump(), LOOK_MS);
        return;
      }
      for (let left = windowBytes; left > 0 && this.#waiting.length > 0; ) {
        const piece = this.#waiting.shift()!;
        left -= piece.bytes.length;
        this.#hand(piece);
        share.sentHeavy(piece.bytes.length);
      }
    }
    this.#limited = false;
    share.hasNothing();
    this.#tellPresence();
  }

  #hand({ bytes, sent }: Piece): void {
    this.#handedBytes += bytes.length;
    this.#options.link.write([bytes], () => {
      this.#handedBytes -= bytes.length;
      sent?.();
    });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const piece of this.#waiting.splice(0)) this.#hand(piece);
  }
}
