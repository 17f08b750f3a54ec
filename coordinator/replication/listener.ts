/**
 * Waits for a primary, for one VM. Bounds, all counted: connections that have not said HELLO, those
 * in the handshake included (one more is closed at once), the time for the handshake and that until
 * HELLO comes, and one admitted primary (a second one is refused with CURLING_REPLICATION_REFUSED).
 */
import type net from 'node:net';
import { type Clock, monotonicClock } from '../../common/clock.ts';
import { CurlingError, type ErrorCode } from '../../common/errors.ts';
import type { Logger } from '../../common/log.ts';
import type { TcpAddress } from '../../common/options.ts';
import type { Credentials } from '../../common/wire/credentials.ts';
import { checkPeer, type Peer } from '../../common/wire/peer.ts';
import { WireServer } from '../../common/wire/server.ts';
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
  /** For the handshake, and then until HELLO is there. Default 5000. */
  handshakeMs?: number;
  /** Undefined: plaintext. */
  credentials?: Credentials | undefined;
  /** Told of connections that fail to authenticate. */
  log?: Logger | undefined;
  /** Default 50. */
  beatMs?: number;
  clock?: Clock;
}

type Options = Required<Omit<ListenerOptions, 'credentials' | 'log' | 'halfOpenMax'>>;

export class BackupListener {
  readonly #counters = {
    helloTimeouts: 0,
    secondRefused: 0,
    admitted: 0,
    failed: {} as Partial<Record<ErrorCode, number>>,
  };
  readonly #options: Options;
  readonly #handlers: ListenerHandlers;
  readonly #wire: WireServer;
  #session: ReceiverSession | undefined;

  constructor(options: ListenerOptions, handlers: ListenerHandlers) {
    const { credentials, log, halfOpenMax = 8, ...rest } = options;
    this.#options = { handshakeMs: 5000, beatMs: BEAT_MS, clock: monotonicClock, ...rest };
    this.#handlers = handlers;
    this.#wire = new WireServer({
      credentials,
      log,
      halfOpenMax,
      handshakeMs: this.#options.handshakeMs,
      connection: (socket, peer, established) => this.#accept(socket, peer, established),
    });
  }

  /**
   * What came in, since the start. `failed` counts connections by the code with which they ended,
   * `handshakesFailed` those before by their cause; `handshakeTimeouts` counts both kinds of time.
   */
  get counters() {
    const { connections, halfOpenRefused, handshakeTimeouts, handshakesFailed } =
      this.#wire.counters;
    const { helloTimeouts, ...own } = this.#counters;
    const timeouts = handshakeTimeouts + helloTimeouts;
    const wire = { connections, halfOpenRefused, handshakesFailed, handshakeTimeouts: timeouts };
    return { ...wire, ...own };
  }

  /**
   * @throws CurlingError CURLING_SOCKET_IN_USE, or CURLING_CONNECT when the address cannot be
   * listened on.
   */
  listen(address: TcpAddress): Promise<void> {
    return this.#wire.listen(address);
  }

  /** The port that is listened on. */
  get port(): number {
    return this.#wire.port;
  }

  /** The session of the admitted primary, or of the one that is being decided on. */
  get session(): ReceiverSession | undefined {
    return this.#session;
  }

  /** Stops listening and ends all connections at once. */
  close(): Promise<void> {
    return this.#wire.close();
  }

  #accept(socket: net.Socket, peer: Peer, established: () => void): void {
    const { vm, host, incarnation, sink, handshakeMs, clock, beatMs } = this.#options;
    const timer = setTimeout(() => {
      this.#counters.helloTimeouts++;
      const text = `no HELLO within ${handshakeMs} ms`;
      session.channel.destroy(new CurlingError('CURLING_TIMEOUT', text));
    }, handshakeMs);
    const link = new SocketLink(socket);
    const session: ReceiverSession = new ReceiverSession(
      { vm, host, incarnation: incarnation() },
      sink(),
      link,
      {
        ...forward(this.#handlers),
        hello: hello => {
          clearTimeout(timer);
          established();
          return this.#admit(session, peer, hello);
        },
        heard: nowMs => {
          if (this.#session === session) this.#handlers.heard(nowMs);
        },
        closed: error => this.#ended(session, error),
      },
    );
    socket.on('close', () => clearTimeout(timer));
    const ready = () => session.state === 'admitted';
    drive(socket, link, session.channel, { clock, beatMs, bulk: true, ready });
  }

  /**
   * Takes the one place before the integrator decides, so that two primaries are never decided on
   * at once.
   */
  async #admit(session: ReceiverSession, peer: Peer, hello: Hello): Promise<void> {
    checkPeer(peer, hello.host, 'HELLO');
    if (this.#session) {
      this.#counters.secondRefused++;
      const text = `host ${this.#session.hello?.host} is this backup's primary already`;
      throw new CurlingError('CURLING_REPLICATION_REFUSED', text);
    }
    this.#session = session;
    await this.#handlers.hello(hello);
    this.#counters.admitted++;
  }

  #ended(session: ReceiverSession, error: CurlingError | undefined): void {
    const { failed } = this.#counters;
    if (error) failed[error.code] = (failed[error.code] ?? 0) + 1;
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
