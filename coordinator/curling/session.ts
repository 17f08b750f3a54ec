/**
 * One connection of a QEMU that sends Curling's stream: listens, decodes, and tells. A thin shell around CurlingDecoder.
 * Nothing is ever answered, and nothing begins here: an operator types `migrate -f tcp:HOST:PORT` in that QEMU's monitor.
 *
 * Only a sender on this machine is taken: `drained` means that all which QEMU has written was read, and over a network
 * nobody could tell. An empty queue here is not enough for that, as what was written may wait in the queue of QEMU's socket.
 * So it takes two looks, in this order: nothing waits there; then, all is read here.
 */
import net from 'node:net';
import { CurlingError, messageOf } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import type { GuestLayout } from '../checkpoint/layout.ts';
import type { Staging } from '../checkpoint/staging.ts';
import { CurlingDecoder } from './decoder.ts';
import { unsentBytes } from './unsent.ts';

export interface CurlingHandlers {
  /** A sender has connected, and its first checkpoint begins; before the first page. */
  layout(layout: GuestLayout): void;
  /** A checkpoint is whole, its last chunk handed over; the next one has begun. */
  checkpoint(device: Buffer): void;
  /** All that the sender had written at some moment since `probe` is read, and it was among the pages of a checkpoint. */
  drained(): void;
  /** It is over: the sender is gone, silent, or sends what is no such stream. */
  closed(error: CurlingError): void;
}

export interface CurlingSessionOptions {
  listen: TcpAddress;
  /** Name of the block that is the guest's main memory. Default: the largest one. */
  mainBlockName?: string;
  staging: Staging;
  handlers: CurlingHandlers;
  /** Milliseconds in which a sender says nothing until it is given up. Default 10,000. */
  silenceMs?: number;
}

/** What Node reads at once; less means that the socket was empty behind it. */
const READ_BYTES = 65_536;
/** Between two looks at the sender's queue, when nothing comes of what is in it. */
const LOOK_MS = 2;

export class CurlingSession {
  readonly #options: CurlingSessionOptions;
  readonly #decoder: CurlingDecoder;
  readonly #server: net.Server;
  #socket: net.Socket | undefined;
  #closed = false;
  #silence: NodeJS.Timeout | undefined;
  /** Reading waits for the staging memory. */
  #waits = false;
  /** Chunks that Node read before reading went on say nothing about now. */
  #stale = false;
  /** Somebody waits for `drained`; `delivered`: the sender's queue was empty since. */
  #proof: 'none' | 'wanted' | 'delivered' = 'none';
  #looks: NodeJS.Timeout | undefined;
  #reads = 0;
  #bytes = 0;

  constructor(options: CurlingSessionOptions) {
    this.#options = options;
    const { staging, handlers, mainBlockName } = options;
    const events = {
      layout: (layout: GuestLayout) => handlers.layout(layout),
      checkpoint: (device: Buffer) => {
        staging.flush();
        handlers.checkpoint(device);
      },
    };
    const named = mainBlockName === undefined ? {} : { mainBlockName };
    this.#decoder = new CurlingDecoder(staging, events, named);
    this.#server = net.createServer(socket => this.#accept(socket));
  }

  /** Listens. @throws CurlingError CURLING_CONNECT */
  async start(): Promise<void> {
    const { host, port } = this.#options.listen;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ host, port }, resolve);
      });
    } catch (error) {
      const text = `cannot listen for QEMU on ${host}:${port}: ${messageOf(error)}`;
      throw new CurlingError('CURLING_CONNECT', text, { cause: error });
    }
    if (this.#closed) this.#server.close();
  }

  /** Where it listens: the port that was given, or the one that the system chose for 0. */
  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Bytes of the stream that were decoded. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Handler drained is called once all that the sender has written by now, or later, was read among pages. */
  probe(): void {
    this.#proof = 'wanted';
    this.#quietTurn();
  }

  /** Whether nothing comes during one whole turn of the event loop, in which the socket is asked. */
  #quietTurn(): void {
    clearTimeout(this.#looks);
    setImmediate(() => {
      const before = this.#reads;
      setImmediate(() => {
        if (this.#closed || !this.#socket || this.#reads !== before) return;
        this.#emptyQueue();
      });
    });
  }

  /** Ends the connection, or the wait for one. Handler closed is not called. */
  end(): void {
    if (!this.#closed) this.#options.staging.discard();
    this.#closed = true;
    clearTimeout(this.#silence);
    clearTimeout(this.#looks);
    this.#socket?.destroy();
    this.#server.close();
  }

  #accept(socket: net.Socket): void {
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    const here = isHere(remoteAddress, localAddress);
    const seen = here && unsentBytes(remotePort ?? 0, localPort ?? 0) !== undefined;
    if (this.#closed || this.#socket || !seen) {
      socket.destroy();
      return;
    }
    this.#server.close();
    this.#socket = socket;
    let why = 'it closed the connection';
    socket.on('data', chunk => this.#receive(chunk));
    socket.on('error', error => {
      why = error.message;
    });
    socket.on('close', () =>
      this.#fail(new CurlingError('CURLING_QEMU_LOST', `lost QEMU: ${why}`)),
    );
    this.#expectBytes();
  }

  #receive(chunk: Buffer): void {
    if (this.#closed) return;
    this.#reads++;
    this.#expectBytes();
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof CurlingError)) throw error;
      this.#fail(error);
      return;
    }
    this.#bytes += chunk.length;
    const { staging } = this.#options;
    if (chunk.length < READ_BYTES) this.#emptyQueue();
    if (!staging.starved || this.#waits) return;
    this.#waits = true;
    this.#socket!.pause();
    clearTimeout(this.#silence);
    staging.whenFree(() => this.#readOn());
  }

  /** The socket had no more bytes, unless it was not asked. */
  #emptyQueue(): void {
    const asked = !this.#waits && !this.#stale;
    if (this.#proof === 'none' || !asked || !this.#decoder.inRam) return;
    if (this.#proof === 'delivered') {
      this.#proof = 'none';
      this.#options.handlers.drained();
      return;
    }
    const { remotePort, localPort } = this.#socket!;
    if (unsentBytes(remotePort!, localPort!) === 0) {
      this.#proof = 'delivered';
      this.#quietTurn();
      return;
    }
    // What waits there comes, and is followed by a look of its own, unless only its acknowledgement is late.
    clearTimeout(this.#looks);
    this.#looks = setTimeout(() => this.#quietTurn(), LOOK_MS);
  }

  #readOn(): void {
    this.#waits = false;
    if (this.#closed) return;
    this.#stale = true;
    this.#socket!.resume();
    // What was read before comes before this.
    setImmediate(() => {
      this.#stale = this.#waits;
    });
    this.#expectBytes();
  }

  /** The sender owes bytes: checkpoints have no end. */
  #expectBytes(): void {
    clearTimeout(this.#silence);
    if (!this.#socket || this.#waits) return;
    const silenceMs = this.#options.silenceMs ?? 10_000;
    this.#silence = setTimeout(() => {
      const text = `QEMU sent no checkpoint for ${silenceMs} ms`;
      this.#fail(new CurlingError('CURLING_TIMEOUT', text));
    }, silenceMs);
  }

  #fail(error: CurlingError): void {
    if (this.#closed) return;
    this.end();
    this.#options.handlers.closed(error);
  }
}

/** Whether a connection comes from this machine. */
export function isHere(remote: string | undefined, local: string | undefined): boolean {
  return remote !== undefined && (remote === local || /^(::ffff:)?127\./.test(remote));
}
