/**
 * Waits for a primary, for one VM. Bounds, all counted: connections that have not been admitted
 * (one more is closed at once), the time until HELLO comes, and one admitted primary (a second one
 * is refused with CURLING_REPLICATION_REFUSED).
 */
import net from 'node:net';
import { type Clock, monotonicClock } from '../../common/clock.ts';
import { CurlingError, type ErrorCode } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import { type ReceiverHandlers, ReceiverSession } from './receiver.ts';
import type { CheckpointSink } from './sink.ts';
import { BEAT_MS, drive, SocketLink } from './transport.ts';
import type { Hello } from './types.ts';

/**
 * As ReceiverHandlers, of whichever connection; `closed` is called only for an admitted primary.
 */
export type ListenerHandlers = ReceiverHandlers;

export interface ListenerOptions {
  vm: string;
  host: string;
  /** Asked at every connection: the incarnation changes when a role is given up. */
  incarnation: () => string;
  /** Asked at every connection. */
  sink: () => CheckpointSink;
  /** Default 8. */
  halfOpenMax?: number;
  /** Until HELLO is there. Default 5000. */
  handshakeMs?: number;
  /** Default 50. */
  beatMs?: number;
  clock?: Clock;
}

export class BackupListener {
  /**
   * What came in, since the start. `failed` counts connections by the code with which they ended.
   */
  readonly counters = {
    connections: 0,
    halfOpenRefused: 0,
    handshakeTimeouts: 0,
    secondRefused: 0,
    acceptErrors: 0,
    admitted: 0,
    failed: {} as Partial<Record<ErrorCode, number>>,
  };
  readonly #options: Required<ListenerOptions>;
  readonly #handlers: ListenerHandlers;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #halfOpen = 0;
  #session: ReceiverSession | undefined;

  constructor(options: ListenerOptions, handlers: ListenerHandlers) {
    this.#options = {
      halfOpenMax: 8,
      handshakeMs: 5000,
      beatMs: BEAT_MS,
      clock: monotonicClock,
      ...options,
    };
    this.#handlers = handlers;
    this.#server = net.createServer({ noDelay: true }, socket => this.#accept(socket));
  }

  /**
   * @throws CurlingError CURLING_SOCKET_IN_USE, or CURLING_CONNECT when the address cannot be
   * listened on.
   */
  async listen(address: TcpAddress): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const used = error.code === 'EADDRINUSE';
        const text = `cannot listen on ${address.host}:${address.port}: ${error.code}`;
        const code = used ? 'CURLING_SOCKET_IN_USE' : 'CURLING_CONNECT';
        reject(new CurlingError(code, text, { cause: error }));
      });
      this.#server.listen({ ...address }, () => {
        this.#server.removeAllListeners('error');
        // Too many open files: whoever wanted to connect is not let in, and nothing else happens.
        this.#server.on('error', () => this.counters.acceptErrors++);
        resolve();
      });
    });
  }

  /** The port that is listened on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** The session of the admitted primary, or of the one that is being decided on. */
  get session(): ReceiverSession | undefined {
    return this.#session;
  }

  /** Stops listening and ends all connections at once. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }

  #accept(socket: net.Socket): void {
    this.counters.connections++;
    if (this.#halfOpen >= this.#options.halfOpenMax) {
      this.counters.halfOpenRefused++;
      socket.destroy();
      return;
    }
    const { vm, host, incarnation, sink, handshakeMs, clock, beatMs } = this.#options;
    this.#halfOpen++;
    this.#sockets.add(socket);
    const timer = setTimeout(() => {
      this.counters.handshakeTimeouts++;
      const text = `no HELLO within ${handshakeMs} ms`;
      session.channel.destroy(new CurlingError('CURLING_TIMEOUT', text));
    }, handshakeMs);
    let half = true;
    const leaveHalfOpen = () => {
      if (half) this.#halfOpen--;
      half = false;
      clearTimeout(timer);
    };
    const session: ReceiverSession = new ReceiverSession(
      { vm, host, incarnation: incarnation() },
      sink(),
      new SocketLink(socket),
      {
        ...forward(this.#handlers),
        hello: hello => {
          leaveHalfOpen();
          return this.#admit(session, hello);
        },
        heard: nowMs => {
          if (this.#session === session) this.#handlers.heard(nowMs);
        },
        closed: error => this.#ended(session, error),
      },
    );
    socket.on('close', () => {
      leaveHalfOpen();
      this.#sockets.delete(socket);
    });
    drive(socket, session.channel, clock, beatMs, () => session.state === 'admitted');
  }

  /**
   * Takes the one place before the integrator decides, so that two primaries are never decided on
   * at once.
   */
  async #admit(session: ReceiverSession, hello: Hello): Promise<void> {
    if (this.#session) {
      this.counters.secondRefused++;
      const text = `host ${this.#session.hello?.host} is this backup's primary already`;
      throw new CurlingError('CURLING_REPLICATION_REFUSED', text);
    }
    this.#session = session;
    await this.#handlers.hello(hello);
    this.counters.admitted++;
  }

  #ended(session: ReceiverSession, error: CurlingError | undefined): void {
    if (error) this.counters.failed[error.code] = (this.counters.failed[error.code] ?? 0) + 1;
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#handlers.closed(error);
  }
}

function forward(handlers: ListenerHandlers): Omit<ReceiverHandlers, 'hello' | 'heard' | 'closed'> {
  return {
    full: (pair, epoch) => handlers.full(pair, epoch),
    committed: epoch => handlers.committed(epoch),
    guestLost: reason => handlers.guestLost(reason),
    bye: reason => handlers.bye(reason),
  };
}
