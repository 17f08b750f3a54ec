/**
 * The status page of a coordinator: `/` for a reader, `/status.json` and `/history.json` for programs, and `/events` for
 * both. A listener of `/events` gets, in this order and then again as it changes:
 *
 *   view      what the page shows: its parts as HTML, all of them first, then those that have changed; once a second, and at
 *             once when something has happened
 *   history   what is new of the history (coordinator/history.ts), all of it first in bounded pieces; once a second
 *   happened  an event of the coordinator (docs/protocol.md), from now on: `{name, data, at}`
 *
 * A view that comes is also the sign that somebody is there. While nobody listens nothing is made, and the coordinator's
 * work waits for none of this.
 */
import type { IncomingMessage } from 'node:http';
import { messageOf } from '../../common/errors.ts';
import { type EventStream, EventStreams } from '../../common/http/event-streams.ts';
import { type HttpHandler, type HttpRoutes, respond } from '../../common/http/service.ts';
import { LimitedLog } from '../../common/limited-log.ts';
import type { Logger } from '../../common/log.ts';
import type { EventLog } from '../event-log.ts';
import type { HistoryDocument } from '../history.ts';
import type { CoordinatorStatus, Durations } from '../status.ts';
import { assetRoutes } from './assets.ts';
import { frameOf, pageHtml, partsOf, type Shown } from './view.ts';

const RENEW_MS = 1_000;
/** Nothing from elsewhere, no script or style in the page itself, and nobody may frame it. */
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface StatusPageModules {
  document(): Promise<CoordinatorStatus>;
  /** @param cursor Of an answer before. */
  history(cursor?: string): HistoryDocument;
  /** For how long output waited. */
  delays(): Durations;
  events: EventLog;
  log: Logger;
}

/** What somebody who listens has already. */
interface Listener {
  /** No view yet. */
  fresh: boolean;
  cursor: string | undefined;
}

export class StatusPage {
  readonly streams = new EventStreams();
  readonly routes: HttpRoutes;
  readonly #modules: StatusPageModules;
  readonly #failures: LimitedLog;
  readonly #listeners = new WeakMap<EventStream, Listener>();
  /** The parts as they were told last. */
  #told: ReadonlyMap<string, string> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #renewing = false;
  #again = false;

  constructor(modules: StatusPageModules) {
    this.#modules = modules;
    this.#failures = new LimitedLog(modules.log);
    this.routes = {
      ...assetRoutes(modules.log),
      '/': async (_request, response) => {
        const page = pageHtml(await this.#shown());
        response.setHeader('Content-Security-Policy', POLICY);
        response.setHeader('Referrer-Policy', 'no-referrer');
        respond(response, 200, 'text/html', page);
      },
      '/status.json': json(() => modules.document()),
      '/history.json': json(request => modules.history(cursorOf(request))),
      '/events': (request, response) => {
        const stream = this.streams.open(request, response);
        if (stream) this.#listen(stream);
      },
    };
  }

  /** The newest event of the log has just happened. */
  happened(): void {
    const event = this.#modules.events.events.at(-1);
    if (this.streams.size === 0 || !event) return;
    for (const stream of this.streams) stream.send('happened', event);
    void this.#renew();
  }

  async #shown(): Promise<Shown> {
    const status = await this.#modules.document();
    const { events } = this.#modules.events;
    return { status, delay: this.#modules.delays(), events, now: new Date() };
  }

  #listen(stream: EventStream): void {
    this.#listeners.set(stream, { fresh: true, cursor: undefined });
    this.#timer ??= setInterval(() => this.#tick(), RENEW_MS).unref();
    void this.#renew();
  }

  #tick(): void {
    if (this.streams.size > 0) return void this.#renew();
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Tells everybody what is new; when that is being done already, once more after it. */
  async #renew(): Promise<void> {
    this.#again = this.#renewing;
    if (this.#renewing) return;
    this.#renewing = true;
    try {
      do {
        this.#again = false;
        this.#tell(await this.#shown());
      } while (this.#again);
    } catch (error) {
      this.#failures.say('warn', {}, `the status page: ${messageOf(error)}`);
    } finally {
      this.#renewing = false;
    }
  }

  #tell(shown: Shown): void {
    const parts = Object.entries(partsOf(shown)).map(([name, { html }]) => [name, html] as const);
    const changed = parts.filter(([name, html]) => this.#told.get(name) !== html);
    this.#told = new Map(parts);
    const frame = frameOf(shown);
    for (const stream of this.streams) {
      const listener = this.#listeners.get(stream)!;
      const news = listener.fresh ? parts : changed;
      listener.fresh = false;
      stream.send('view', { ...frame, parts: Object.fromEntries(news) });
      this.#tellHistory(stream, listener);
    }
  }

  /** The whole history goes in pieces, as fast as they are read; the rest of it after the next view. */
  #tellHistory(stream: EventStream, listener: Listener): void {
    if (!stream.ready) return;
    const { cursor, more, ...news } = this.#modules.history(listener.cursor);
    listener.cursor = cursor;
    stream.send('history', news);
    if (more) setImmediate(() => this.#tellHistory(stream, listener));
  }
}

function json(answer: (request: IncomingMessage) => unknown): HttpHandler {
  return async (request, response) => {
    const text = `${JSON.stringify(await answer(request))}\n`;
    respond(response, 200, 'application/json', text);
  };
}

function cursorOf(request: IncomingMessage): string | undefined {
  const query = (request.url ?? '').split('?')[1];
  return new URLSearchParams(query).get('cursor') ?? undefined;
}
