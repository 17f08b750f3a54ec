/**
 * The primary's end of a transfer: chunks of pages that are staged already, as many under way as UNSENT_BYTES_MAX allows.
 * Either one full copy that never ends, page after page, or checkpoints of CHECKPOINT_CHUNKS, with small runs of pages all
 * over the memory.
 */
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { dialBackup } from '../../coordinator/replication/dial.ts';
import type { SenderSession } from '../../coordinator/replication/sender.ts';
import { LAYOUT, MAIN, VM } from './guest.ts';
import { CREDENTIALS, HOST, noise, UNSENT_BYTES_MAX } from './ways.ts';
import type { Window } from './window.ts';

/** What the coordinator uses. */
const CHUNK_PAGES = 64;
const CHUNK_BYTES = CHUNK_PAGES * PAGE_BYTES;
/** 16 MiB. */
const CHECKPOINT_CHUNKS = 64;
/** Pages that lie side by side in a checkpoint. */
const RUN_PAGES = 4;
const PAGES = MAIN.bytes / PAGE_BYTES;
const RUNS = PAGES / RUN_PAGES;
/** Odd, so that every run has its turn before one has its second. */
const RUN_STRIDE = 9_973;
const DEVICE = Buffer.alloc(64 << 10, 3);

class Source {
  readonly #session: SenderSession;
  readonly #window: Window;
  readonly #checkpoints: boolean;
  readonly #free = noise(CHUNK_BYTES).map(staged);
  #unsent = 0;
  #page = 0;
  #epoch = 1;
  /** Chunks that the open checkpoint still takes; none is open at 0. */
  #left = 0;

  constructor(port: number, secure: boolean, checkpoints: boolean, window: Window) {
    this.#checkpoints = checkpoints;
    this.#window = window;
    this.#session = dialBackup(
      {
        address: { host: '127.0.0.1', port },
        credentials: secure ? CREDENTIALS : undefined,
        vm: VM,
        host: HOST,
        generation: 1,
        epoch: 0,
        guest: {},
        mainBytes: MAIN.bytes,
        sender: '1'.repeat(32),
      },
      {
        welcome: () => this.#beginFull(),
        ack: () => this.#pump(),
        windowOpen: () => this.#pump(),
        heard: () => {},
        refused: () => {},
        bye: () => {},
        closed: error => {
          if (!window.over) throw error ?? new Error('the drain went away');
        },
      },
    );
  }

  #beginFull(): void {
    this.#session.beginFull(1, this.#epoch, LAYOUT);
    this.#left = this.#checkpoints ? 1 : Number.POSITIVE_INFINITY;
    this.#pump();
  }

  #pump(): void {
    while (this.#unsent < UNSENT_BYTES_MAX && this.#session.state === 'ready') {
      if (this.#left === 0 && !this.#begin()) return;
      this.#send(this.#free.shift()!);
      if (--this.#left > 0) continue;
      this.#session.device(DEVICE);
      this.#session.commit();
      this.#epoch++;
    }
  }

  #begin(): boolean {
    if (!this.#session.window) return false;
    this.#session.beginCheckpoint(this.#epoch);
    this.#left = CHECKPOINT_CHUNKS;
    return true;
  }

  #send(chunk: PageChunk): void {
    chunk.reset();
    for (let count = 0; count < CHUNK_PAGES; count++) chunk.addData(0, this.#nextPage());
    this.#unsent += CHUNK_BYTES;
    this.#session.chunk(chunk, () => {
      this.#free.push(chunk);
      this.#unsent -= CHUNK_BYTES;
      this.#window.add(CHUNK_BYTES);
      this.#pump();
    });
  }

  #nextPage(): number {
    const page = this.#page++ % PAGES;
    if (!this.#checkpoints) return page;
    const run = Math.floor(page / RUN_PAGES);
    return ((run * RUN_STRIDE) % RUNS) * RUN_PAGES + (page % RUN_PAGES);
  }
}

/** A chunk with these bytes in its pages. */
function staged(bytes: Buffer): PageChunk {
  const chunk = new PageChunk(CHUNK_PAGES);
  bytes.copy(chunk.data);
  return chunk;
}

/** Connects to a backup, and sends as soon as it is let. */
export function replicationSource(
  port: number,
  secure: boolean,
  checkpoints: boolean,
  window: Window,
): void {
  new Source(port, secure, checkpoints, window);
}
