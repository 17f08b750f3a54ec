/**
 * Server-sent events (WHATWG HTML, "Server-sent events") to everybody who listens. Nobody is waited for: a listener that
 * does not read is dropped when too much is unsent, and may come again.
 *
 * Bounds: STREAMS_MAX listeners, one more is refused (503); UNSENT_BYTES_MAX unsent to one of them. Both are counted.
 */
import type http from 'node:http';
import { respond } from './service.ts';

const STREAMS_MAX = 16;
const UNSENT_BYTES_MAX = 1 << 20;
/** The largest message of a sender that asks `ready` first fits well below the other bound. */
const READY_BYTES_MAX = 64 << 10;

/** One listener. */
export class EventStream {
  readonly #response: http.ServerResponse;
  readonly #onDrop: () => void;

  constructor(response: http.ServerResponse, onDrop: () => void) {
    this.#response = response;
    this.#onDrop = onDrop;
  }

  /** Whether it reads what it is sent: a sender that has much to say waits for this. */
  get ready(): boolean {
    return this.#response.writableLength < READY_BYTES_MAX;
  }

  /** Sends `data` as JSON; drops the listener at the bound. */
  send(event: string, data: unknown): void {
    if (this.#response.destroyed) return;
    if (this.#response.writableLength > UNSENT_BYTES_MAX) {
      this.#onDrop();
      this.#response.destroy();
      return;
    }
    this.#response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }
}

export class EventStreams {
  /** Since the start. */
  readonly counters = { opened: 0, refused: 0, dropped: 0 };
  readonly #streams = new Set<EventStream>();

  /** How many listen. */
  get size(): number {
    return this.#streams.size;
  }

  /** Begins to answer with events; undefined when it was answered otherwise: to a HEAD, or at the bound. */
  open(request: http.IncomingMessage, response: http.ServerResponse): EventStream | undefined {
    if (this.#streams.size >= STREAMS_MAX) {
      this.counters.refused++;
      response.setHeader('Retry-After', '10');
      respond(response, 503, 'text/plain', `${STREAMS_MAX} listen already\n`);
      return undefined;
    }
    // The last one is for nginx, which would collect what should be told at once.
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    if (request.method === 'HEAD') {
      response.end();
      return undefined;
    }
    response.flushHeaders();
    const stream = new EventStream(response, () => {
      this.counters.dropped++;
    });
    this.#streams.add(stream);
    this.counters.opened++;
    response.once('close', () => this.#streams.delete(stream));
    return stream;
  }

  [Symbol.iterator](): IterableIterator<EventStream> {
    return this.#streams.values();
  }
}
