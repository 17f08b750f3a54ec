/**
 * What a daemon serves over HTTP: its metrics, and for the coordinator the status page. Reading only; nothing can be
 * changed by it, and nothing of the daemon waits for it. An address that is taken is a warning and tried again: that
 * nobody can look is no reason not to protect.
 *
 * Bounds: 64 connections (one more is closed at once), 8 KiB of headers within 5 s, no bodies; a whole answer that was not
 * read within 30 s ends its connection, a stream has bounds of its own (event-streams.ts). A request whose Host names
 * no address, nor this machine, is refused (421): so no page of somebody else's can read this one through a name of its own.
 */
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import { asCurlingError, messageOf } from '../errors.ts';
import { LimitedLog } from '../limited-log.ts';
import type { Logger } from '../log.ts';
import type { HttpAddress } from './address.ts';

const CONNECTIONS_MAX = 64;
const HEADER_BYTES_MAX = 8 << 10;
const HEADERS_MS_MAX = 5_000;
const REQUEST_MS_MAX = 10_000;
const ANSWER_MS_MAX = 30_000;
/** How often the two are looked at. */
const CHECK_MS = 1_000;
const RETRY_MS = 10_000;

/** Answers one GET or HEAD; the path has been matched. */
export type HttpHandler = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
) => void | Promise<void>;

/** By path, e.g. `/metrics`. */
export type HttpRoutes = Readonly<Record<string, HttpHandler>>;
/** For paths that come and go. */
export type HttpRouter = (path: string) => HttpHandler | undefined;

/** Milliseconds. */
export interface HttpTimes {
  /** Between two attempts to listen. Default 10,000. */
  retryMs?: number;
  /** How long a client may take to read an answer. Default 30,000. */
  answerMsMax?: number;
}

interface Listening {
  to: HttpAddress | { path: string };
  /** For a reader. */
  name: string;
  /** A Host header may name it. */
  host: string;
}

export class HttpService {
  /** What happened, since the start. */
  readonly counters = {
    requests: 0,
    refused: 0,
    failed: 0,
    connectionsRefused: 0,
    slowClientsClosed: 0,
  };
  readonly #router: HttpRouter;
  readonly #address: Listening;
  readonly #log: Logger;
  readonly #failures: LimitedLog;
  readonly #retryMs: number;
  readonly #answerMsMax: number;
  readonly #server: http.Server;
  #retry: NodeJS.Timeout | undefined;
  #warned = false;
  #closed = false;

  private constructor(
    address: Listening,
    router: HttpRouter,
    log: Logger,
    { retryMs = RETRY_MS, answerMsMax = ANSWER_MS_MAX }: HttpTimes,
  ) {
    this.#address = address;
    this.#router = router;
    this.#log = log;
    this.#failures = new LimitedLog(log);
    this.#retryMs = retryMs;
    this.#answerMsMax = answerMsMax;
    this.#server = http.createServer(
      {
        maxHeaderSize: HEADER_BYTES_MAX,
        headersTimeout: HEADERS_MS_MAX,
        requestTimeout: REQUEST_MS_MAX,
        connectionsCheckingInterval: CHECK_MS,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on('drop', () => {
      this.counters.connectionsRefused++;
    });
    this.#server.on('error', error => this.#failed(error));
  }

  /**
   * Serves `routes` at `address`, now or as soon as it is free. A unix socket's path must be free.
   */
  static start(
    address: HttpAddress | { path: string },
    routes: HttpRoutes | HttpRouter,
    log: Logger,
    times: HttpTimes = {},
  ): HttpService {
    const router =
      typeof routes === 'function'
        ? routes
        : (path: string) => (Object.hasOwn(routes, path) ? routes[path] : undefined);
    const listening =
      'path' in address
        ? { to: { path: address.path }, name: address.path, host: 'localhost' }
        : { to: address, name: `${address.host}:${address.port}`, host: address.host };
    const service = new HttpService(listening, router, log, times);
    service.#listen();
    return service;
  }

  /** Where it listens; undefined while the address is taken. */
  get port(): number | undefined {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : undefined;
  }

  /** Ends all connections, also those that would last. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    if (!this.#server.listening) return;
    const closed = new Promise(resolve => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #listen(): void {
    if (this.#closed || this.#server.listening) return;
    this.#server.listen(this.#address.to, () => {
      const { host, name } = this.#address;
      const { port } = this;
      this.#log.info({ http: port === undefined ? name : `${host}:${port}` }, 'serving HTTP');
    });
  }

  #failed(error: Error): void {
    if (!this.#warned) {
      const text = `--http ${this.#address.name}: ${error.message}; tried again every ${this.#retryMs / 1000} s`;
      this.#log.warn(text);
    }
    this.#warned = true;
    this.#retry = setTimeout(() => this.#listen(), this.#retryMs).unref();
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    this.counters.requests++;
    response.once('prefinish', () => this.#untilRead(response));
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Cache-Control', 'no-store');
    const [path = ''] = (request.url ?? '').split('?');
    const handler = this.#router(path);
    if (!isOurName(request.headers.host, this.#address.host))
      return this.#refuse(response, 421, 'ask by address, or as localhost');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return this.#refuse(response, 405, 'there is nothing to change here');
    }
    if (!handler) return this.#refuse(response, 404, 'there is no such page');
    try {
      await handler(request, response);
    } catch (error) {
      this.counters.failed++;
      const facts = { code: asCurlingError(error).code, path };
      this.#failures.say('warn', facts, messageOf(error));
      if (!response.headersSent) respond(response, 500, 'text/plain', 'this failed; see the log\n');
      else response.destroy();
    }
  }

  /** The answer is all there, and leaves as fast as the client reads. */
  #untilRead(response: http.ServerResponse): void {
    const timer = setTimeout(() => {
      this.counters.slowClientsClosed++;
      response.destroy();
    }, this.#answerMsMax).unref();
    response.once('close', () => clearTimeout(timer));
  }

  #refuse(response: http.ServerResponse, status: number, text: string): void {
    this.counters.refused++;
    respond(response, status, 'text/plain', `${text}\n`);
  }
}

/** Answers with a whole body. To a HEAD, Node leaves the body away. */
export function respond(
  response: http.ServerResponse,
  status: number,
  type: string,
  body: string | Buffer,
): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const charset = type.startsWith('text/') && !type.includes('charset') ? '; charset=utf-8' : '';
  response.writeHead(status, { 'Content-Type': type + charset, 'Content-Length': bytes.length });
  response.end(bytes);
}

/** Whether a Host header is an address, localhost, this machine's name, or what was configured. */
function isOurName(header: string | undefined, configured: string): boolean {
  const name = (header ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  if (net.isIP(name) !== 0) return true;
  return ['localhost', os.hostname().toLowerCase(), configured.toLowerCase()].includes(name);
}
