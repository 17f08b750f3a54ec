/**
 * One TCP connection of the guest as seen outside: does what the guest says fit together? Sending
 * bytes again is TCP's normal work; sending other bytes under the same numbers, acknowledging
 * what was never sent, and resetting a connection that was in use are what a lost or a second
 * execution does. Pure.
 *
 * Offsets are sequence numbers unwrapped: `#guestNext` is the sequence behind the highest byte
 * seen from the guest, and `#guestOffset` its offset in the stream.
 */
import { ByteWindow } from './byte-window.ts';
import type { TcpSegment } from './frames.ts';

/** Far enough above 0 that older bytes than the first seen ones have offsets too. */
const FIRST_OFFSET = 2 ** 32;

/** Signed distance from `b` to `a` on the circle of sequence numbers. */
function distance(a: number, b: number): number {
  return (a - b) | 0;
}

/** Bytes and flags that occupy sequence numbers. */
function lengthOf(segment: TcpSegment): number {
  return segment.payload.length + (segment.syn ? 1 : 0) + (segment.fin ? 1 : 0);
}

export interface TcpCounts {
  segments: number;
  payloadBytes: number;
  /** Payload sent again, byte for byte the same. */
  retransmittedBytes: number;
  /** Payload too far back to be compared. */
  unjudgedBytes: number;
  /** Acknowledgements below one that was seen before: late frames, or an older state. */
  acksBack: number;
  /** Resets that answered an attempt to connect. */
  refused: number;
}

export class TcpConnection {
  readonly #counts: TcpCounts;
  #window = new ByteWindow();
  #guestNext: number | undefined;
  #guestOffset = FIRST_OFFSET;
  #guestIsn: number | undefined;
  #guestAck: number | undefined;
  #clientIsn: number | undefined;
  /** The sequence behind all that the client has sent. */
  #clientNext: number | undefined;
  #clientOnlyConnects = false;
  /** Somebody has ended it: a reset or another start is nobody's fault from here on. */
  closed = false;

  /** @param counts Shared by all connections. */
  constructor(counts: TcpCounts) {
    this.#counts = counts;
  }

  /** A segment towards the guest. */
  client(segment: TcpSegment): void {
    const end = (segment.sequence + lengthOf(segment)) >>> 0;
    if (segment.syn && segment.sequence !== this.#clientIsn) {
      // The client opens a connection anew. Where the guest opens it anew, #guestStart has
      // forgotten the client's.
      if (this.#clientIsn !== undefined) this.#reset();
      this.#clientIsn = segment.sequence;
      this.#clientNext = end;
      this.#clientOnlyConnects = !segment.ack;
      return;
    }
    if (!segment.syn) this.#clientOnlyConnects = false;
    if (this.#clientNext === undefined || distance(end, this.#clientNext) > 0)
      this.#clientNext = end;
    if (segment.fin || segment.rst) this.closed = true;
  }

  /**
   * A segment from the guest; returns in words what contradicts what was seen before, if anything
   * does.
   */
  guest(segment: TcpSegment): string | undefined {
    this.#counts.segments++;
    const wrong =
      this.#guestReset(segment) ?? this.#guestStart(segment) ?? this.#acknowledges(segment);
    const differs = segment.rst ? undefined : this.#payload(segment);
    if (segment.fin || segment.rst) this.closed = true;
    return wrong ?? differs;
  }

  #guestReset(segment: TcpSegment): string | undefined {
    if (!segment.rst || this.closed) return undefined;
    const spoke = this.#guestNext !== undefined;
    if (!spoke && (this.#clientOnlyConnects || this.#clientNext === undefined)) {
      this.#counts.refused++;
      return undefined;
    }
    return 'resets a connection that is in use';
  }

  #guestStart(segment: TcpSegment): string | undefined {
    if (!segment.syn || segment.rst) return undefined;
    const isn = this.#guestIsn;
    if (isn === segment.sequence) return undefined;
    const again = (isn !== undefined || this.#guestNext !== undefined) && !this.closed;
    if (isn !== undefined && this.closed) this.#reset();
    this.#guestIsn = segment.sequence;
    return again
      ? `starts again with sequence ${segment.sequence}, after ${isn ?? 'data'}`
      : undefined;
  }

  #acknowledges(segment: TcpSegment): string | undefined {
    if (!segment.ack || segment.rst) return undefined;
    const before = this.#guestAck;
    if (before !== undefined && distance(segment.acknowledgement, before) < 0)
      this.#counts.acksBack++;
    else this.#guestAck = segment.acknowledgement;
    if (this.#clientNext === undefined) return undefined;
    const beyond = distance(segment.acknowledgement, this.#clientNext);
    return beyond > 0 ? `acknowledges ${beyond} bytes that were never sent to it` : undefined;
  }

  #payload(segment: TcpSegment): string | undefined {
    const start = segment.syn ? (segment.sequence + 1) >>> 0 : segment.sequence;
    this.#guestNext ??= start;
    const offset = this.#guestOffset + distance(start, this.#guestNext);
    const end = offset + segment.payload.length;
    if (end > this.#guestOffset) {
      this.#guestOffset = end;
      this.#guestNext = (start + segment.payload.length) >>> 0;
    }
    if (segment.payload.length === 0) return undefined;
    const written = this.#window.write(Math.max(0, offset), segment.payload);
    this.#counts.payloadBytes += segment.payload.length;
    this.#counts.retransmittedBytes += written.same;
    this.#counts.unjudgedBytes += written.tooOld;
    if (written.differsAt === undefined) return undefined;
    const sequence = (segment.sequence + (written.differsAt - offset)) >>> 0;
    return `sends another byte at sequence ${sequence} than before`;
  }

  /** The same addresses and ports are used for a new connection. */
  #reset(): void {
    this.#window = new ByteWindow();
    this.#guestNext = undefined;
    this.#guestOffset = FIRST_OFFSET;
    this.#guestIsn = undefined;
    this.#guestAck = undefined;
    this.#clientIsn = undefined;
    this.#clientNext = undefined;
    this.closed = false;
  }
}
