/** A Link over a TCP socket, with the beat. The thin shell under both ends. */
import type net from 'node:net';
import type { Clock } from '../../common/clock.ts';
import { type Reading, readInto } from '../../common/wire/read-into.ts';
import type { Channel } from './channel.ts';
import type { Link } from './link.ts';
import { SlabPool } from './slabs.ts';

export const BEAT_MS = 50;
/** How long an ended connection may take to deliver its last message. */
const LINGER_MS = 1000;

export class SocketLink implements Link {
  readonly #socket: net.Socket;
  #reading: Reading | undefined;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
  }

  write(buffers: readonly Buffer[], sent?: () => void): void {
    const last = buffers.length - 1;
    // Corked, all buffers leave in one writev.
    this.#socket.cork();
    buffers.forEach((buffer, index) => {
      this.#socket.write(buffer, index === last && sent ? () => sent() : undefined);
    });
    this.#socket.uncork();
  }

  end(): void {
    const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#socket.once('close', () => clearTimeout(timer));
    this.#socket.end();
    // What still comes is of no interest, but must be read for the end to be seen.
    this.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  pause(): void {
    (this.#reading ?? this.#socket).pause();
  }

  resume(): void {
    (this.#reading ?? this.#socket).resume();
  }

  /**
   * Begins to read.
   * @param bulk Into slabs, for an end that much comes to, if this Node can.
   */
  read(channel: Channel, clock: Clock, bulk: boolean): void {
    if (bulk) {
      const slabs = new SlabPool();
      this.#reading = readInto(this.#socket, {
        space: () => slabs.space(),
        filled: bytes => {
          const { chunk, slab } = slabs.filled(bytes);
          channel.receive(chunk, clock.now(), slab);
        },
      });
    }
    if (this.#reading) return;
    this.#socket.on('data', (chunk: Buffer) => channel.receive(chunk, clock.now()));
  }
}

export interface DriveOptions {
  clock: Clock;
  beatMs: number;
  /** Whether much comes. */
  bulk: boolean;
  /** Whether beats are due: both ends beat once the backup has admitted the primary. */
  ready: () => boolean;
}

/** Feeds a session from its socket until the end. */
export function drive(
  socket: net.Socket,
  link: SocketLink,
  channel: Channel,
  { clock, beatMs, bulk, ready }: DriveOptions,
): void {
  const beat = setInterval(() => {
    if (ready()) channel.beat(clock.now());
  }, beatMs);
  let cause: Error | undefined;
  link.read(channel, clock, bulk);
  socket.on('error', error => {
    cause = error;
  });
  // The peer's FIN is the fastest sign that its process is gone; nothing waits for what is still
  // unsent.
  socket.on('end', () => channel.lost());
  socket.on('close', () => {
    clearInterval(beat);
    channel.lost(cause);
  });
}
