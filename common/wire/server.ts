/**
 * A listening socket that hands out connections only when the other end has proven who it is. Until
 * then no byte of it reaches anybody but OpenSSL. Without credentials every connection is handed out
 * at once.
 *
 * Bounds, all counted: connections that are half open (one more is closed at once): those in the
 * handshake, and those that their owner has not called `established` yet; the time for the handshake;
 * lines in the log about handshakes that failed.
 *
 * Invariant: a place is taken from accept until established, or the end of the socket.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { isMainThread } from 'node:worker_threads';
import { CurlingError } from '../errors.ts';
import { LimitedLog } from '../limited-log.ts';
import type { Logger } from '../log.ts';
import { describeAddress, type SocketAddress } from '../socket-address.ts';
import { namesIn } from './certificates.ts';
import type { Credentials } from './credentials.ts';
import { type Failure, serverFailure } from './handshake-words.ts';
import { type Peer, provenPeer, UNPROVEN } from './peer.ts';
import { TLS_OPTIONS } from './tls-options.ts';

/** The umask of a process whose threads listen: nobody else may connect to what they make. */
export const PRIVATE_UMASK = 0o077;
/** A peer that lost its power says nothing more, and must not keep its place for ever. */
const LISTENING = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };

export interface WireServerOptions {
  /** Undefined: plaintext. */
  credentials?: Credentials | undefined;
  /** Connections that are half open at most. Default 64. */
  halfOpenMax?: number;
  /** Until the handshake is done. Milliseconds, default 5,000. */
  handshakeMs?: number;
  /** Told of handshakes that fail, at a bounded rate. */
  log?: Logger | undefined;
  /**
   * A connection whose other end is `peer`. Its place among the half-open ones is free when
   * `established` is called or it closes.
   */
  connection: (socket: net.Socket, peer: Peer, established: () => void) => void;
}

export class WireServer {
  /** Since the start. `handshakesFailed` counts by cause; handshake-words.ts has them. */
  readonly counters = {
    connections: 0,
    acceptErrors: 0,
    halfOpenRefused: 0,
    authenticated: 0,
    handshakeTimeouts: 0,
    handshakesFailed: {} as Record<string, number>,
  };
  readonly #options: WireServerOptions;
  readonly #halfOpenMax: number;
  readonly #handshakeMs: number;
  readonly #server: net.Server;
  readonly #tls: tls.Server | undefined;
  readonly #sockets = new Set<net.Socket>();
  readonly #halfOpen = new Set<net.Socket>();
  /** Those in the handshake, by the ends of their connection. */
  readonly #handshakes = new Map<string, net.Socket>();
  /** The hosts that clients said they were, with a pre-shared key. */
  readonly #claims = new WeakMap<tls.TLSSocket, string>();
  readonly #lines: LimitedLog | undefined;

  constructor(options: WireServerOptions) {
    this.#options = options;
    this.#lines = options.log && new LimitedLog(options.log);
    this.#halfOpenMax = options.halfOpenMax ?? 64;
    this.#handshakeMs = options.handshakeMs ?? 5_000;
    this.#server = net.createServer(LISTENING, socket => this.#accept(socket));
    if (options.credentials) this.#tls = this.#secureServer(options.credentials);
  }

  /**
   * Listens on a TCP address, or a unix socket (mode 0600).
   * @throws CurlingError CURLING_SOCKET_IN_USE, or CURLING_CONNECT when it cannot be listened on.
   */
  async listen(address: SocketAddress): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', error => reject(listenError(address, error)));
      const listening = () => {
        this.#server.removeAllListeners('error');
        // Too many open files: whoever wanted to connect is not let in, and nothing else happens.
        this.#server.on('error', () => this.counters.acceptErrors++);
        resolve();
      };
      if (typeof address !== 'string') return void this.#server.listen({ ...address }, listening);
      privately(() => this.#server.listen({ path: address }, listening));
    });
    if (typeof address === 'string') fs.chmodSync(address, 0o600);
  }

  /** The port that a TCP server listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** Stops listening and ends all connections at once. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }

  #accept(socket: net.Socket): void {
    this.counters.connections++;
    if (this.#halfOpen.size >= this.#halfOpenMax) {
      this.counters.halfOpenRefused++;
      socket.destroy();
      return;
    }
    this.#halfOpen.add(socket);
    this.#sockets.add(socket);
    socket.on('close', () => {
      this.#halfOpen.delete(socket);
      this.#sockets.delete(socket);
    });
    if (this.#tls) this.#shakeHands(this.#tls, socket);
    else this.#options.connection(socket, UNPROVEN, () => this.#halfOpen.delete(socket));
  }

  #shakeHands(server: tls.Server, socket: net.Socket): void {
    const ends = endsOf(socket);
    this.#handshakes.set(ends, socket);
    socket.on('error', () => socket.destroy());
    // Once this socket has closed, its ends can be those of another one.
    socket.prependOnceListener('close', () => this.#handshakes.delete(ends));
    server.emit('connection', socket);
  }

  #secureServer(credentials: Credentials): tls.Server {
    const server = tls.createServer({
      ...TLS_OPTIONS,
      // From accept on, however it drips: no byte counts as activity before the end.
      handshakeTimeout: this.#handshakeMs,
      ...(credentials.kind === 'keys'
        ? {
            pskCallback: (socket: tls.TLSSocket, claim: string) => {
              this.#claims.set(socket, claim);
              return credentials.keys.get(claim) ?? null;
            },
          }
        : { ...credentials, requestCert: true, rejectUnauthorized: true }),
    });
    server.on('secureConnection', socket => this.#secured(socket, credentials));
    server.on('tlsClientError', (error, socket) => {
      this.#failed(error, socket, credentials);
      // Node leaves it open when its time is over.
      socket.destroy();
    });
    return server;
  }

  #secured(socket: tls.TLSSocket, credentials: Credentials): void {
    const ends = endsOf(socket);
    const under = this.#handshakes.get(ends);
    const peer = this.#peerOf(socket, credentials);
    // The socket under it can have ended a moment ago.
    if (!under || !peer) return void socket.destroy();
    this.#handshakes.delete(ends);
    this.counters.authenticated++;
    this.#options.connection(socket, peer, () => this.#halfOpen.delete(under));
  }

  #peerOf(socket: tls.TLSSocket, credentials: Credentials): Peer | undefined {
    if (credentials.kind === 'keys') {
      const claim = this.#claims.get(socket);
      return claim !== undefined && credentials.keys.has(claim) ? provenPeer([claim]) : undefined;
    }
    const certificate = socket.getPeerX509Certificate();
    return socket.authorized && certificate instanceof X509Certificate
      ? provenPeer(namesIn(certificate))
      : undefined;
  }

  #failed(error: NodeJS.ErrnoException, socket: tls.TLSSocket, credentials: Credentials): void {
    if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
      this.counters.handshakeTimeouts++;
      const text = `it did not end the handshake within ${this.#handshakeMs} ms`;
      return this.#say('late', text, socket);
    }
    const claim = this.#claims.get(socket);
    const failure: Failure = serverFailure({
      code: error.code,
      claim,
      known: credentials.kind === 'keys' && claim !== undefined && credentials.keys.has(claim),
      authorizationError: socket.authorizationError ? String(socket.authorizationError) : undefined,
    });
    const failed = this.counters.handshakesFailed;
    failed[failure.cause] = (failed[failure.cause] ?? 0) + 1;
    this.#say(failure.cause, failure.text, socket);
  }

  #say(cause: string, text: string, socket: net.Socket): void {
    const from = socket.remoteAddress ?? 'somebody who is gone';
    const facts = { code: 'CURLING_TLS', cause, from };
    this.#lines?.say('warn', facts, `${from} was not let in: ${text}`);
  }
}

/** What no other connection of this moment has. */
function endsOf(socket: net.Socket): string {
  return `${socket.localAddress} ${socket.remoteAddress} ${socket.remotePort}`;
}

function listenError(address: SocketAddress, error: NodeJS.ErrnoException): CurlingError {
  const where = describeAddress(address);
  const used = error.code === 'EADDRINUSE';
  const text = used
    ? `${where} is served by another process; end it or choose another`
    : `cannot listen on ${where}: ${error.message}`;
  const code = used ? 'CURLING_SOCKET_IN_USE' : 'CURLING_CONNECT';
  return new CurlingError(code, text, { cause: error });
}

/** Makes a unix socket within `work`: nobody else may connect from its first moment on. */
function privately(work: () => void): void {
  // A thread cannot set what belongs to its process: who starts threads that listen has set it for all.
  if (!isMainThread) {
    assert((process.umask() & PRIVATE_UMASK) === PRIVATE_UMASK, 'the process makes private files');
    return work();
  }
  const mask = process.umask(0o177);
  try {
    work();
  } finally {
    process.umask(mask);
  }
}
