/** Follows all coordinators of this host, those too that appear later. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CoordinatorStatus } from '../coordinator/status.ts';
import { aboutEvent, aboutStatus, type EventLine } from './event-lines.ts';
import { Follower } from './follower.ts';

/** Between two looks for new sockets. */
const LOOK_MS = 1_000;
/** How long the snapshot waits for coordinators that do not answer. */
const SNAPSHOT_MS = 2_000;
/** As many machines as a witness keeps; those above are not followed. */
const FOLLOWED_MAX = 1_024;

export interface FeedOptions {
  /** The sockets that there are now. */
  find(): string[];
  /** Undefined: all machines. */
  vm: string | undefined;
  line(line: EventLine): void;
}

export class EventFeed {
  readonly #options: FeedOptions;
  readonly #followers = new Map<string, Follower>();
  #timer: NodeJS.Timeout | undefined;
  #snapshot = true;
  readonly #closing = new AbortController();

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Tells what is, and that this is all; changes follow until `close`. Closed before, it tells neither. */
  async start(): Promise<void> {
    this.#look();
    const all = Promise.all([...this.#followers.values()].map(({ asked }) => asked));
    const { signal } = this.#closing;
    const late = sleep(SNAPSHOT_MS, undefined, { signal }).catch(() => {});
    await Promise.race([all, late]);
    if (signal.aborted) return;
    this.#options.line({ kind: 'exists', data: undefined, at: new Date() });
    this.#snapshot = false;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  close(): void {
    this.#closing.abort();
    clearInterval(this.#timer);
    for (const follower of this.#followers.values()) follower.close();
  }

  #look(): void {
    const found = this.#options.find();
    for (const [socket, follower] of this.#followers) {
      if (follower.connected || found.includes(socket)) continue;
      follower.close();
      this.#followers.delete(socket);
    }
    for (const socket of found) {
      if (this.#followers.has(socket)) continue;
      if (this.#followers.size >= FOLLOWED_MAX) break;
      this.#followers.set(socket, this.#follow(socket));
    }
  }

  #follow(socket: string): Follower {
    const { vm, line } = this.#options;
    const tell = (told: EventLine) => {
      if (vm === undefined || told.data?.vm === vm) line(told);
    };
    const about = (kind: 'exists' | 'create' | 'destroy', status: CoordinatorStatus) =>
      tell(aboutStatus(kind, status, new Date()));
    return new Follower(socket, {
      appeared: status => about(this.#snapshot ? 'exists' : 'create', status),
      event: event => tell(aboutEvent(event)),
      gone: status => about('destroy', status),
    });
  }
}
