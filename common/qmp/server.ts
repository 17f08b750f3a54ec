/**
 * The server side of QMP's shape, for the control sockets of proxy, coordinator and witness.
 *
 * Bounds, all counted in `counters`: clients (one more is closed at once), length of a line (an error, then the
 * connection is closed), unsent bytes of a client that does not read (it is closed), commands under way per client (its
 * socket is not read until one is answered). Text that is not JSON is answered with an error and nothing else happens.
 */
import fs from 'node:fs';
import net from 'node:net';
import { asCurlingError, CurlingError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { jsonOf } from '../shown.ts';
import type { SocketAddress } from '../socket-address.ts';
import { VERSION } from '../version.ts';
import type { Credentials } from '../wire/credentials.ts';
import type { Peer } from '../wire/peer.ts';
import { WireServer } from '../wire/server.ts';
import { LineSplitter, LineTooLong } from './lines.ts';
import { type ErrorClass, eventMessage, isObject, type JsonObject } from './messages.ts';

/** How long a refused client may go on sending before it is cut off. */
const LINGER_MS = 1_000;

/** What answers a command: its return value, or a thrown CurlingError. */
export type CommandHandler = (args: JsonObject, client: ServerClient) => unknown | Promise<unknown>;

export interface QmpServerOptions {
  /** Said in the greeting, e.g. curling-proxy. */
  program: string;
  commands: Record<string, CommandHandler>;
  clientsMax?: number;
  lineBytesMax?: number;
  unsentBytesMax?: number;
  pendingMax?: number;
  /** For a TCP address; undefined: plaintext. */
  credentials?: Credentials | undefined;
  /** Told of clients that fail to authenticate. */
  log?: Logger;
}

/** One connection, as command handlers see it. */
export interface ServerClient {
  readonly id: number;
  readonly peer: Peer;
}

class Client implements ServerClient {
  readonly splitter: LineSplitter;
  negotiated = false;
  /** What it sends is read and dropped, until it has read why. */
  refused = false;
  pending = 0;

  readonly id: number;
  readonly socket: net.Socket;
  readonly peer: Peer;

  constructor(id: number, socket: net.Socket, peer: Peer, lineBytesMax: number) {
    this.id = id;
    this.socket = socket;
    this.peer = peer;
    this.splitter = new LineSplitter(lineBytesMax);
  }
}

export class QmpServer {
  /** What happened at the bounds, since the start. */
  readonly counters = {
    connections: 0,
    refused: 0,
    malformed: 0,
    linesTooLong: 0,
    slowClientsClosed: 0,
    commands: 0,
  };
  readonly #options: Required<Omit<QmpServerOptions, 'credentials' | 'log'>>;
  readonly #clients = new Set<Client>();
  readonly #wire: WireServer;
  #path: string | undefined;
  #nextId = 1;

  constructor(options: QmpServerOptions) {
    this.#options = {
      clientsMax: 32,
      lineBytesMax: 64 << 10,
      unsentBytesMax: 4 << 20,
      pendingMax: 16,
      ...options,
    };
    const { credentials, log } = options;
    this.#wire = new WireServer({
      credentials,
      log,
      connection: (socket, peer, established) => {
        established();
        this.#accept(socket, peer);
      },
    });
  }

  /**
   * Starts to listen on a unix socket (mode 0600) or a TCP address. A unix socket that nobody serves any more is
   * replaced.
   * @throws CurlingError CURLING_SOCKET_IN_USE when another process serves it.
   */
  async listen(address: SocketAddress): Promise<void> {
    if (typeof address === 'string') await removeStaleSocket(address);
    await this.#wire.listen(address);
    if (typeof address === 'string') this.#path = address;
  }

  /** What happened before connections became clients. */
  get wireCounters(): WireServer['counters'] {
    return this.#wire.counters;
  }

  /** Connections that stand. */
  get clients(): number {
    return this.#clients.size;
  }

  /** The port that a TCP server listens on. */
  get port(): number {
    return this.#wire.port;
  }

  /** Sends an event to every client that has negotiated. */
  emit(event: string, data: JsonObject = {}): void {
    const line = `${JSON.stringify(eventMessage(event, data, Date.now()))}\n`;
    for (const client of this.#clients) if (client.negotiated) this.#write(client, line);
  }

  /** Stops listening, ends all connections and removes the unix socket. */
  async close(): Promise<void> {
    await this.#wire.close();
    if (this.#path) fs.rmSync(this.#path, { force: true });
  }

  #accept(socket: net.Socket, peer: Peer): void {
    this.counters.connections++;
    if (this.#clients.size >= this.#options.clientsMax) {
      this.counters.refused++;
      socket.destroy();
      return;
    }
    const client = new Client(this.#nextId++, socket, peer, this.#options.lineBytesMax);
    this.#clients.add(client);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#clients.delete(client));
    socket.on('data', chunk => this.#receive(client, chunk));
    const [major, minor, micro] = VERSION.split('.').map(Number);
    const version = {
      qemu: { major, minor, micro },
      package: `${this.#options.program} ${VERSION}`,
    };
    this.#send(client, { QMP: { version, capabilities: [] } });
  }

  #receive(client: Client, chunk: Buffer): void {
    if (client.refused) return;
    try {
      for (const line of client.splitter.push(chunk)) this.#dispatch(client, line);
    } catch (error) {
      if (!(error instanceof LineTooLong)) throw error;
      this.counters.linesTooLong++;
      const desc = `a line is longer than ${this.#options.lineBytesMax} bytes; the connection is closed`;
      this.#send(client, { error: { class: 'GenericError', desc, code: 'CURLING_MESSAGE' } });
      this.#refuse(client);
    }
  }

  /**
   * Ends a connection so that its client can read why: closing it at once, with bytes of the client unread, would make
   * the client's next write fail, and with it the answer be lost.
   */
  #refuse(client: Client): void {
    client.refused = true;
    client.socket.end();
    const timer = setTimeout(() => client.socket.destroy(), LINGER_MS);
    client.socket.once('close', () => clearTimeout(timer));
  }

  #dispatch(client: Client, line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch (error) {
      return this.#malformed(
        client,
        `expected JSON: ${error instanceof Error ? error.message : error}`,
      );
    }
    if (!isObject(message))
      return this.#malformed(client, 'expected an object with the member "execute"');
    if (message.id !== undefined && jsonOf(message.id) === undefined) {
      return this.#malformed(client, 'expected an "id" that can be said again, got one too deep');
    }
    if (typeof message.execute !== 'string') {
      return this.#malformed(
        client,
        'expected the member "execute" with the name of a command',
        message.id,
      );
    }
    if (message.arguments !== undefined && !isObject(message.arguments)) {
      return this.#malformed(client, 'expected an object as "arguments"', message.id);
    }
    this.#execute(
      client,
      message.execute,
      (message.arguments as JsonObject | undefined) ?? {},
      message.id,
    );
  }

  #execute(client: Client, command: string, args: JsonObject, id: unknown): void {
    if (command === 'qmp_capabilities') {
      client.negotiated = true;
      return this.#send(client, { return: {}, ...idOf(id) });
    }
    if (!client.negotiated) {
      const desc = `expected qmp_capabilities first, got ${command}`;
      return this.#fail(
        client,
        new CurlingError('CURLING_COMMAND_UNKNOWN', desc),
        id,
        'CommandNotFound',
      );
    }
    if (command === 'query-commands') {
      const names = ['qmp_capabilities', 'query-commands', ...Object.keys(this.#options.commands)];
      return this.#send(client, { return: names.map(name => ({ name })), ...idOf(id) });
    }
    const handler = Object.hasOwn(this.#options.commands, command)
      ? this.#options.commands[command]
      : undefined;
    if (!handler) {
      const desc = `there is no command ${command}; query-commands lists them`;
      return this.#fail(
        client,
        new CurlingError('CURLING_COMMAND_UNKNOWN', desc),
        id,
        'CommandNotFound',
      );
    }
    void this.#answer(client, handler, args, id);
  }

  async #answer(
    client: Client,
    handler: CommandHandler,
    args: JsonObject,
    id: unknown,
  ): Promise<void> {
    this.counters.commands++;
    if (++client.pending >= this.#options.pendingMax) client.socket.pause();
    try {
      const result = handler(args, client);
      const value = result instanceof Promise ? await result : result;
      this.#send(client, { return: value ?? {}, ...idOf(id) });
    } catch (error) {
      this.#fail(client, asCurlingError(error), id);
    } finally {
      if (client.pending-- === this.#options.pendingMax) client.socket.resume();
    }
  }

  #malformed(client: Client, desc: string, id?: unknown): void {
    this.counters.malformed++;
    this.#fail(client, new CurlingError('CURLING_MESSAGE', desc), id);
  }

  #fail(
    client: Client,
    error: CurlingError,
    id: unknown,
    errorClass: ErrorClass = 'GenericError',
  ): void {
    this.#send(client, {
      error: { class: errorClass, desc: error.message, code: error.code },
      ...idOf(id),
    });
  }

  #send(client: Client, message: JsonObject): void {
    this.#write(client, `${JSON.stringify(message)}\n`);
  }

  #write(client: Client, line: string): void {
    if (client.socket.destroyed) return;
    client.socket.write(line);
    if (client.socket.writableLength > this.#options.unsentBytesMax) {
      this.counters.slowClientsClosed++;
      client.socket.destroy();
    }
  }
}

function idOf(id: unknown): JsonObject {
  return id === undefined ? {} : { id };
}

/** Removes a unix socket whose server is gone; throws when somebody answers there. */
async function removeStaleSocket(path: string): Promise<void> {
  const there = fs.lstatSync(path, { throwIfNoEntry: false });
  if (!there) return;
  if (!there.isSocket())
    throw new CurlingError('CURLING_SOCKET_IN_USE', `${path} is a file of another kind; it stays`);
  await new Promise<void>((resolve, reject) => {
    const probe = net.connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      const text = `${path} is served by another process; end it or choose another path`;
      reject(new CurlingError('CURLING_SOCKET_IN_USE', text));
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') fs.rmSync(path, { force: true });
      resolve();
    });
  });
}
