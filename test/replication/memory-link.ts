/**
 * A pair of links in memory: what one end writes the other reads, when the test says so and in
 * pieces of its choice.
 */
import type { Channel } from '../../coordinator/replication/channel.ts';
import type { Link } from '../../coordinator/replication/link.ts';

export class MemoryLink implements Link {
  /** What the peer has not read yet. */
  readonly outbox: Buffer[] = [];
  ended = false;
  paused = false;
  #sent: (() => void)[] = [];

  write(buffers: readonly Buffer[], sent?: () => void): void {
    // Copied, because the writer may use its memory again once `sent` is called.
    this.outbox.push(Buffer.concat(buffers));
    if (sent) this.#sent.push(sent);
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
    this.flushed();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  /** Calls every `sent`. */
  flushed(): void {
    const sent = this.#sent;
    this.#sent = [];
    for (const call of sent) call();
  }
}

/** One end with the channel that reads what the other end wrote. */
export interface MemoryEnd {
  link: MemoryLink;
  channel: Channel;
}

/**
 * Delivers everything written so far by `from` to `to`, in pieces of `pieceBytes`. Returns the
 * bytes.
 */
export function deliver(from: MemoryEnd, to: MemoryEnd, pieceBytes = 65_536, nowMs = 0): number {
  const bytes = Buffer.concat(from.link.outbox.splice(0));
  from.link.flushed();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    to.channel.receive(bytes.subarray(at, at + pieceBytes), nowMs);
  }
  return bytes.length;
}

/**
 * Delivers in both directions until both are silent, letting promises run; gives up after 1000
 * rounds.
 */
export async function settle(a: MemoryEnd, b: MemoryEnd, pieceBytes = 65_536): Promise<void> {
  for (let quiet = 0, rounds = 0; quiet < 3 && rounds < 1000; rounds++) {
    const bytes = deliver(a, b, pieceBytes) + deliver(b, a, pieceBytes);
    quiet = bytes === 0 ? quiet + 1 : 0;
    await new Promise(resolve => setImmediate(resolve));
    for (const [end, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      if (end.link.ended && end.link.outbox.length === 0) peer.channel.lost();
    }
  }
}
