/**
 * The client side of an echo connection. Pure: instants and chunks in, messages and round trips
 * out. Message n holds the generator's bytes from seed n, so that every byte that comes back is
 * checked.
 *
 * Invariant: the queue holds exactly the messages that have not come back whole, oldest first, at
 * most `outstandingMax`.
 */
import assert from 'node:assert/strict';
import { Generator } from '../guest/generator.ts';

interface Message {
  bytes: Buffer;
  sentMs: number;
  label: string;
}

export interface RoundTrip {
  /** The label given when it was sent. */
  label: string;
  ms: number;
}

export class EchoStream {
  readonly #messageBytes: number;
  readonly #outstandingMax: number;
  readonly #queue: Message[] = [];
  /** Bytes of the oldest message that have come back. */
  #partial = 0;
  /** Messages sent. */
  sent = 0;
  /** Messages not sent because `outstandingMax` were under way. */
  skipped = 0;
  receivedBytes = 0;
  /** Bytes that were not the ones sent, or came unasked. */
  wrongBytes = 0;
  /** Offset in the stream of the first of them. */
  firstWrongAt: number | undefined;

  constructor(messageBytes: number, outstandingMax: number) {
    this.#messageBytes = messageBytes;
    this.#outstandingMax = outstandingMax;
  }

  get outstanding(): number {
    return this.#queue.length;
  }

  /** The next message, or undefined (and counted) when too many are under way. */
  send(nowMs: number, label: string): Buffer | undefined {
    if (this.#queue.length >= this.#outstandingMax) {
      this.skipped++;
      return undefined;
    }
    this.sent++;
    const bytes = new Generator(BigInt(this.sent)).fill(Buffer.alloc(this.#messageBytes));
    this.#queue.push({ bytes, sentMs: nowMs, label });
    assert(this.#queue.length <= this.#outstandingMax);
    return bytes;
  }

  /** Takes what came back; returns the round trips that it completes. */
  receive(chunk: Buffer, nowMs: number): RoundTrip[] {
    const trips: RoundTrip[] = [];
    let at = 0;
    while (at < chunk.length) {
      const message = this.#queue[0];
      if (!message) {
        this.#wrong(chunk.length - at, this.receivedBytes);
        this.receivedBytes += chunk.length - at;
        break;
      }
      const length = Math.min(message.bytes.length - this.#partial, chunk.length - at);
      this.#check(chunk.subarray(at, at + length), message.bytes);
      at += length;
      this.#partial += length;
      this.receivedBytes += length;
      if (this.#partial < message.bytes.length) break;
      this.#queue.shift();
      this.#partial = 0;
      trips.push({ label: message.label, ms: nowMs - message.sentMs });
    }
    return trips;
  }

  #check(piece: Buffer, expected: Buffer): void {
    if (expected.compare(piece, 0, piece.length, this.#partial, this.#partial + piece.length) === 0)
      return;
    for (let i = 0; i < piece.length; i++)
      if (piece[i] !== expected[this.#partial + i]) this.#wrong(1, this.receivedBytes + i);
  }

  #wrong(bytes: number, at: number): void {
    this.wrongBytes += bytes;
    this.firstWrongAt ??= at;
  }
}
