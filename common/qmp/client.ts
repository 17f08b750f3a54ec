/** A client of QEMU's monitor and of curling's own control sockets, which speak the same shape. */
import { EventEmitter } from 'node:events';
import type net from 'node:net';
import { CurlingError, ERROR_CODES, type ErrorCode, messageOf } from '../errors.ts';
import { shown } from '../shown.ts';
import { describeAddress, type SocketAddress } from '../socket-address.ts';
import { connectWire } from '../wire/client.ts';
import type { Credentials } from '../wire/credentials.ts';
import { LineSplitter } from './lines.ts';
import { isObject, type JsonObject, type QmpEvent } from './messages.ts';

export interface QmpClientOptions {
  /** For a TCP address; undefined: plaintext. */
  credentials?: Credentials | undefined;
  /** Milliseconds for connecting, greeting and negotiation together. Default 5,000. */
  connectTimeoutMs?: number;
  /** Milliseconds that a command may take unless `execute` says otherwise. Default 10,000. */
  commandTimeoutMs?: number;
  /** The longest line accepted from the server. Default 16 MiB (QEMU's schema is about 0.3 MiB). */
  lineBytesMax?: number;
  /** Commands under way at once. Default 64; one more is refused with CURLING_BUSY. */
  pendingMax?: number;
  /** Gives up connecting when it is aborted; a connection that stands is not its matter. */
  signal?: AbortSignal;
}

/** The last second that a Date can hold. */
const TIMESTAMP_SECONDS_MAX = 8.64e12 - 1;

interface Pending {
  command: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

interface ClientEvents {
  /** Any event of the server. */
  event: [QmpEvent];
  /** Once, when the connection is over, for whatever reason. */
  close: [CurlingError];
}

export class QmpClient extends EventEmitter<ClientEvents> {
  readonly #socket: net.Socket;
  readonly #where: string;
  readonly #options: Required<Omit<QmpClientOptions, 'credentials' | 'signal'>>;
  readonly #splitter: LineSplitter;
  readonly #pending = new Map<number, Pending>();
  #onGreeting: ((greeting: JsonObject) => void) | undefined;
  #nextId = 1;
  #closed: CurlingError | undefined;

  private constructor(
    socket: net.Socket,
    where: string,
    options: Required<Omit<QmpClientOptions, 'credentials' | 'signal'>>,
  ) {
    super();
    this.#socket = socket;
    this.#where = where;
    this.#options = options;
    this.#splitter = new LineSplitter(options.lineBytesMax);
    socket.on('data', chunk => this.#receive(chunk));
    socket.on('error', error =>
      this.#end(`the connection to ${where} failed: ${error.message}`, error),
    );
    socket.on('close', () => this.#end(`${where} closed the connection`));
  }

  /**
   * Connects, waits for the greeting and negotiates capabilities.
   * @throws CurlingError CURLING_CONNECT when nothing listens there, CURLING_TLS when one end does not accept the other,
   *   CURLING_TIMEOUT when it does not greet, CURLING_MESSAGE when it speaks something else.
   */
  static async connect(address: SocketAddress, options: QmpClientOptions = {}): Promise<QmpClient> {
    const where = describeAddress(address);
    const { credentials, signal, ...rest } = options;
    const full = {
      connectTimeoutMs: 5_000,
      commandTimeoutMs: 10_000,
      lineBytesMax: 16 << 20,
      pendingMax: 64,
      ...rest,
    };
    const socket = connectWire(address, credentials, {
      ready: () => {},
      failed: error => client.#end(error.message, error, error.code),
    });
    const client = new QmpClient(socket, where, full);
    const giveUp = () => client.close();
    signal?.addEventListener('abort', giveUp);
    try {
      await client.#greeted(full.connectTimeoutMs);
      await client.execute('qmp_capabilities', {}, { timeoutMs: full.connectTimeoutMs });
      return client;
    } catch (error) {
      client.close();
      throw error;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  /** Why the connection is over; undefined while it is open. */
  get closedBy(): CurlingError | undefined {
    return this.#closed;
  }

  /**
   * Executes one command and returns its `return`.
   * @throws CurlingError with the code that the server sent, or CURLING_COMMAND_FAILED for a server without codes
   *   (QEMU); CURLING_COMMAND_UNKNOWN; CURLING_TIMEOUT; CURLING_CONNECTION_LOST; CURLING_BUSY.
   */
  execute(
    command: string,
    args: JsonObject = {},
    options: { timeoutMs?: number } = {},
  ): Promise<unknown> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#pending.size >= this.#options.pendingMax) {
      const text = `${this.#where} has ${this.#pending.size} commands under way; ${command} was not sent`;
      return Promise.reject(new CurlingError('CURLING_BUSY', text));
    }
    const id = this.#nextId++;
    const timeoutMs = options.timeoutMs ?? this.#options.commandTimeoutMs;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(
          new CurlingError(
            'CURLING_TIMEOUT',
            `${this.#where} did not answer ${command} within ${timeoutMs} ms`,
          ),
        );
      }, timeoutMs);
      this.#pending.set(id, { command, resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** Ends the connection; commands under way are rejected. */
  close(): void {
    this.#end(`the connection to ${this.#where} was closed here`);
  }

  async #greeted(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(
            new CurlingError(
              'CURLING_TIMEOUT',
              `${this.#where} sent no greeting within ${timeoutMs} ms`,
            ),
          ),
        timeoutMs,
      );
      this.#onGreeting = greeting => {
        clearTimeout(timer);
        if (isObject(greeting.QMP)) resolve();
        else
          reject(
            new CurlingError(
              'CURLING_MESSAGE',
              `${this.#where}: expected QMP's greeting, got something else`,
            ),
          );
      };
      this.once('close', error => {
        clearTimeout(timer);
        const own: ErrorCode[] = ['CURLING_MESSAGE', 'CURLING_CONNECT', 'CURLING_TLS'];
        if (own.includes(error.code)) return reject(error);
        const text = `cannot connect to ${this.#where}: ${error.message}`;
        reject(new CurlingError('CURLING_CONNECT', text, { cause: error }));
      });
    });
    this.#onGreeting = undefined;
  }

  #receive(chunk: Buffer): void {
    let messages: JsonObject[];
    try {
      messages = [...this.#splitter.push(chunk)].map(parseMessage);
    } catch (error) {
      const text = `${this.#where} sent something that is not QMP: ${messageOf(error)}`;
      return this.#end(text, error, 'CURLING_MESSAGE');
    }
    // Outside of the try: what a listener throws is not the server's fault.
    for (const message of messages) this.#dispatch(message);
  }

  #dispatch(message: JsonObject): void {
    if (this.#onGreeting) return this.#onGreeting(message);
    if (typeof message.event === 'string') {
      const data = isObject(message.data) ? message.data : {};
      this.emit('event', {
        event: message.event,
        data,
        timestamp: timestampOf(message.timestamp),
      });
      return;
    }
    const pending = typeof message.id === 'number' ? this.#pending.get(message.id) : undefined;
    if (!pending) return; // an answer that came too late, or to nobody
    this.#pending.delete(message.id as number);
    clearTimeout(pending.timer);
    if (isObject(message.error)) pending.reject(this.#commandError(pending.command, message.error));
    else pending.resolve(message.return);
  }

  #commandError(command: string, error: JsonObject): CurlingError {
    const desc = typeof error.desc === 'string' ? error.desc : shown(error, 1000);
    if (typeof error.code === 'string' && Object.hasOwn(ERROR_CODES, error.code))
      return new CurlingError(error.code as ErrorCode, desc);
    const code =
      error.class === 'CommandNotFound' ? 'CURLING_COMMAND_UNKNOWN' : 'CURLING_COMMAND_FAILED';
    return new CurlingError(code, `${this.#where}: ${command}: ${desc}`);
  }

  #end(text: string, cause?: unknown, code: ErrorCode = 'CURLING_CONNECTION_LOST'): void {
    if (this.#closed) return;
    this.#closed = new CurlingError(code, text, cause === undefined ? {} : { cause });
    this.#socket.destroy();
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(this.#closed);
    }
    this.#pending.clear();
    this.emit('close', this.#closed);
  }
}

/** When an event happened, as its server says; a server that says something else is taken to mean 1970. */
function timestampOf(value: unknown): QmpEvent['timestamp'] {
  const { seconds, microseconds } = isObject(value) ? value : {};
  const valid = isCount(seconds, TIMESTAMP_SECONDS_MAX) && isCount(microseconds, 999_999);
  return valid ? { seconds, microseconds } : { seconds: 0, microseconds: 0 };
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}

function parseMessage(line: string): JsonObject {
  const message: unknown = JSON.parse(line);
  if (isObject(message)) return message;
  throw new Error(`expected an object, got ${line.slice(0, 80)}`);
}
