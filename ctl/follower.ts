/**
 * Follows one coordinator: what it is, then its events, through its ends and new starts. Events that come while it is asked
 * what it is wait, so that nothing is told of a machine before it was said to be there.
 */
import type { QmpClient } from '../common/qmp/client.ts';
import type { QmpEvent } from '../common/qmp/messages.ts';
import type { CoordinatorStatus } from '../coordinator/status.ts';
import { connect } from './sockets.ts';

/** Between two attempts to connect to one that is not there. */
const RETRY_MS = 500;
/** One that starts answers when it has taken its place, which may take as long as its witness does. */
const STATUS_TIMEOUT_MS = 60_000;
/** Events that wait for the answer; those above are not told. A start has about five. */
const WAITING_MAX = 1_000;

export interface FollowerSink {
  /** It answers, for the first time or again. */
  appeared(status: CoordinatorStatus): void;
  event(event: QmpEvent): void;
  /** It has ended, or was killed. @param status As it was last asked. */
  gone(status: CoordinatorStatus): void;
}

export class Follower {
  readonly socket: string;
  /** Resolves when it has answered, or could not be reached, for the first time. */
  readonly asked: Promise<void>;
  readonly #sink: FollowerSink;
  #client: QmpClient | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();

  constructor(socket: string, sink: FollowerSink) {
    this.socket = socket;
    this.#sink = sink;
    this.asked = this.#follow();
  }

  /** Whether a connection stands, or is being made. */
  get connected(): boolean {
    return this.#timer === undefined;
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#client?.close();
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Returns when the coordinator has answered or did not; what comes later is told to the sink. */
  async #follow(): Promise<void> {
    let status: CoordinatorStatus | undefined;
    let client: QmpClient | undefined;
    this.#timer = undefined;
    const waiting: QmpEvent[] = [];
    try {
      client = await connect(this.socket, { signal: this.#closing.signal });
      this.#client = client;
      if (this.#closed) client.close();
      client.on('event', event => {
        if (status) this.#sink.event(event);
        else if (waiting.length < WAITING_MAX) waiting.push(event);
      });
      const how = { timeoutMs: STATUS_TIMEOUT_MS };
      const answer = (await client.execute('query-status', {}, how)) as CoordinatorStatus;
      if (!this.#closed) this.#sink.appeared(answer);
      status = answer;
      for (const event of waiting.splice(0)) this.#sink.event(event);
      client.once('close', () => this.#lost(answer));
      if (client.closedBy) this.#lost(answer);
    } catch {
      // It is not there, or goes away while it is asked: it is tried again, and told when it answers.
      client?.close();
      this.#again();
    }
  }

  #lost(status: CoordinatorStatus): void {
    if (this.#closed) return;
    this.#sink.gone(status);
    this.#again();
  }

  #again(): void {
    if (!this.#closed) this.#timer = setTimeout(() => void this.#follow(), RETRY_MS);
  }
}
