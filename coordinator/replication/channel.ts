/**
 * What both ends of a replication connection share: frames in and out over a link, beats and their
 * round trip, the way a connection ends. Pure: bytes and `now` in, writes on the link and calls of
 * the owner out.
 *
 * Invariant: `closed` is announced exactly once, and nothing is sent or announced after it.
 */
import { CurlingError } from '../../common/errors.ts';
import { type Frame, FrameDecoder, frameError } from './decode.ts';
import {
  beatPayload,
  type EncodedFrame,
  encodeFrame,
  reasonPayload,
  refusePayload,
} from './encode.ts';
import type { Link } from './link.ts';
import { parseBeat, parseReason, parseRefuse } from './parse.ts';
import type { Slab } from './slabs.ts';
import { type FrameAddress, MESSAGE, type MessageType } from './types.ts';

/** Who uses the channel. */
export interface ChannelOwner {
  /** Generation, epoch and identities for messages that belong to no checkpoint. */
  address(): FrameAddress;
  /**
   * Every valid message but BEAT, BYE and REFUSE.
   * A CurlingError that it throws is told to the peer and ends the connection.
   */
  frame(frame: Frame, nowMs: number): void;
  /** Bytes came, of whatever kind: the peer lives. */
  heard(nowMs: number): void;
  /** The peer ends in good order. `closed` follows. */
  peerBye(reason: string): void;
  /** The peer refuses us. `closed` follows with the same error. */
  refused(error: CurlingError): void;
  /** The end; without an error when one of the two ended it in good order. */
  closed(error?: CurlingError): void;
}

export class Channel {
  readonly counters = { framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0, stray: 0 };
  /** Round trip of the newest beat in milliseconds, the time at the peer taken out. */
  roundTripMs: number | undefined;
  readonly #link: Link;
  readonly #owner: ChannelOwner;
  readonly #decoder = new FrameDecoder();
  readonly #vmId: string;
  #open = true;
  #blocked = false;
  #draining = false;
  #nowMs = 0;
  /** The peer's newest stamp and when it came. */
  #peerStamp: { stampUs: number; atMs: number } | undefined;

  constructor(link: Link, vmId: string, owner: ChannelOwner) {
    this.#link = link;
    this.#vmId = vmId;
    this.#owner = owner;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Sends a message. After the end nothing is sent, and `sent` is not called. */
  send(
    type: MessageType,
    address: FrameAddress,
    payload: readonly Buffer[] = [],
    sent?: () => void,
  ): EncodedFrame {
    const frame = encodeFrame(type, address, payload);
    if (this.#open) {
      this.counters.framesOut++;
      this.counters.bytesOut += frame.payloadBytes + frame.buffers[0]!.length;
      this.#link.write(frame.buffers, sent);
    }
    return frame;
  }

  /**
   * Bytes from the peer.
   * @param slab What they lie in, if the frames that are made of them should be released.
   */
  receive(chunk: Buffer, nowMs: number, slab?: Slab): void {
    if (!this.#open) return;
    this.#nowMs = nowMs;
    this.counters.bytesIn += chunk.length;
    this.#decoder.push(chunk, slab);
    this.#owner.heard(nowMs);
    this.#drain();
  }

  /** No message is looked at until `unblock`: the owner waits for something. */
  block(): void {
    this.#blocked = true;
    this.#link.pause();
  }

  unblock(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    if (!this.#open) return;
    this.#drain();
    if (!this.#blocked) this.#link.resume();
  }

  /** Gives the owner messages that it has put off, as if they came now. */
  again(frames: readonly Frame[], nowMs: number): void {
    this.#guarded(() => {
      for (const frame of frames) if (this.#open) this.#owner.frame(frame, nowMs);
    });
  }

  /** Sends a BEAT with our stamp and the peer's newest one. */
  beat(nowMs: number): void {
    if (!this.#open) return;
    const peer = this.#peerStamp;
    const beat = {
      stampUs: microseconds(nowMs),
      echoUs: peer?.stampUs ?? 0,
      heldUs: peer ? microseconds(nowMs - peer.atMs) : 0,
    };
    this.#peerStamp = undefined;
    this.send(MESSAGE.beat, this.#owner.address(), beatPayload(beat));
  }

  /** Ends in good order; `error`: what made us end it. */
  bye(reason: string, error?: CurlingError): void {
    if (!this.#open) return;
    this.send(MESSAGE.bye, this.#owner.address(), reasonPayload(reason));
    this.#close(error, true);
  }

  /**
   * Ends because of an error of the peer, which is told why if it has shown that it speaks to us.
   */
  fail(error: CurlingError): void {
    if (!this.#open) return;
    const answers = this.counters.framesIn > 0 || error.code === 'CURLING_REPLICATION_VERSION';
    if (answers) {
      this.send(MESSAGE.refuse, this.#owner.address(), refusePayload(error));
    }
    this.#close(error, answers);
  }

  /** The connection under the channel is gone. */
  lost(cause?: unknown): void {
    const half = this.#decoder.partial ? ' in the middle of a message' : '';
    const text = `the connection to the other host ended${half}`;
    this.#close(new CurlingError('CURLING_CONNECTION_LOST', text, { cause }), false);
  }

  /** Ends at once, telling the peer nothing. */
  destroy(error?: CurlingError): void {
    this.#close(error, false);
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      this.#guarded(() => {
        while (this.#open && !this.#blocked) {
          const frame = this.#decoder.next();
          if (!frame) break;
          this.#dispatch(frame);
        }
      });
    } finally {
      this.#draining = false;
    }
  }

  /** What a message does wrong is told to the peer. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof CurlingError)) throw error;
      this.fail(error);
    }
  }

  #dispatch(frame: Frame): void {
    if (frame.type === MESSAGE.refuse) {
      const error = parseRefuse(frame);
      this.#owner.refused(error);
      return this.#close(error, false);
    }
    if (frame.vmId !== this.#vmId) {
      const text = 'the other host speaks of another virtual machine; give both the same VM name';
      this.counters.framesIn++;
      throw new CurlingError('CURLING_REPLICATION_IDENTITY', text);
    }
    this.counters.framesIn++;
    if (frame.type === MESSAGE.bye) {
      this.#owner.peerBye(parseReason(frame));
      return this.#close(undefined, false);
    }
    if (frame.type === MESSAGE.beat) return this.#beaten(frame);
    this.#owner.frame(frame, this.#nowMs);
  }

  #beaten(frame: Frame): void {
    const beat = parseBeat(frame);
    this.#peerStamp = { stampUs: beat.stampUs, atMs: this.#nowMs };
    if (beat.echoUs === 0) return;
    const roundTripUs = microseconds(this.#nowMs) - beat.echoUs - beat.heldUs;
    // Rounding at both ends can make a very short trip negative.
    this.roundTripMs = Math.max(0, roundTripUs) / 1000;
  }

  #close(error: CurlingError | undefined, flush: boolean): void {
    if (!this.#open) return;
    this.#open = false;
    if (flush) this.#link.end();
    else this.#link.destroy();
    this.#owner.closed(error);
  }
}

/** A message that has no place in the state of the session. */
export function unexpected(frame: Frame, state: string): CurlingError {
  return frameError(`message ${frame.type} of epoch ${frame.epoch} has no place while ${state}`);
}

function microseconds(ms: number): number {
  return Math.max(1, Math.round(ms * 1000));
}
