/**
 * What a protection sends its checkpoints through: the sender's session, with pages packed on their way if that was
 * chosen. Packing takes turns: at most PAGES_PER_TURN pages are packed before whatever else waits in this process; what
 * comes behind them waits in its order. Without packing nothing waits and nothing is added.
 *
 * The effort is chosen when a checkpoint begins, and for a full copy again every so often.
 */
import type { Clock } from '../../common/clock.ts';
import { type GuestLayout, PAGE_BYTES } from '../checkpoint/layout.ts';
import { ENTRY_BYTES, type PageChunk } from '../checkpoint/page-chunk.ts';
import type { SenderSession } from '../replication/sender.ts';
import type { PackChoice, PackLevel, SentFigures } from './choice.ts';
import { DEVICE_PACKED_BYTES_MAX, packDevice } from './device-state.ts';
import type { Lz4 } from './lz4.ts';
import { type Effort, PACKED_KINDS, Packer } from './packer.ts';

/** 1 MiB: one to three milliseconds. */
const PAGES_PER_TURN = 256;
/** How often a full copy asks anew. */
const FULL_PART_BYTES = 8 << 20;

/** What an outlet needs of a session. */
export type OutletLink = Pick<
  SenderSession,
  | 'state'
  | 'window'
  | 'beginFull'
  | 'beginCheckpoint'
  | 'chunk'
  | 'packed'
  | 'device'
  | 'devicePacked'
  | 'commit'
>;

export interface OutletOptions {
  link: OutletLink;
  clock: Clock;
  /** Undefined: this host or the backup cannot pack, and all is sent as it is. */
  lz4: Lz4 | undefined;
  choice: PackChoice;
  /** `window` was closed because something waited here, and may be open now. */
  windowOpen(): void;
  /** Calls back after what else waits in this process. Default setImmediate. */
  later?: (turn: () => void) => void;
}

interface Waiting {
  /** Pages to pack. */
  pages: number;
  run: () => void;
}

export class Outlet {
  readonly #options: OutletOptions;
  readonly #later: (turn: () => void) => void;
  #packer: Packer | undefined;
  #full = false;
  #level: PackLevel = 'plain';
  #figures: SentFigures | undefined;
  /** Of checkpoints that are not acknowledged, oldest first. */
  readonly #unacknowledged: { epoch: number; figures: SentFigures }[] = [];
  readonly #waiting: Waiting[] = [];
  #pagesLeft = PAGES_PER_TURN;
  #turnComes = false;
  #windowWanted = false;
  #epoch = 0;
  /** That of the checkpoint before. */
  #device: Buffer | undefined;
  /** Handed to the session, and still in this process. */
  #backlogBytes = 0;

  constructor(options: OutletOptions) {
    this.#options = options;
    this.#later = options.later ?? setImmediate;
  }

  /** Whether the open checkpoint is packed. */
  get packs(): boolean {
    return this.#level !== 'plain';
  }

  /** As SenderSession.window: false also while something waits here. */
  get window(): boolean {
    if (this.#waiting.length === 0) return this.#options.link.window;
    this.#windowWanted = true;
    return false;
  }

  /** Pages by the form in which they were packed, since the full copy; undefined when none was. */
  get pages(): Packer['counters'] | undefined {
    return this.#packer?.counters;
  }

  /** As SenderSession.beginFull. What was sent before it is forgotten. */
  beginFull(generation: number, epoch: number, layout: GuestLayout): void {
    const { lz4 } = this.#options;
    this.#packer = lz4 && new Packer(lz4, layout);
    this.#unacknowledged.length = 0;
    this.#begin(epoch, true);
    this.#in(0, () => this.#options.link.beginFull(generation, epoch, layout));
  }

  /** As SenderSession.beginCheckpoint. */
  beginCheckpoint(epoch: number): void {
    this.#begin(epoch, false);
    this.#in(0, () => {
      this.#packer?.next();
      this.#options.link.beginCheckpoint(epoch);
    });
  }

  /** As SenderSession.chunk. */
  chunk(chunk: PageChunk, onSent: () => void): void {
    const level = this.#level;
    const figures = this.#figures!;
    this.#in(level === 'plain' ? 0 : chunk.count, () => this.#send(chunk, level, figures, onSent));
    if (this.#full && figures.plainBytes >= FULL_PART_BYTES) this.#nextPart();
  }

  /** As SenderSession.device. */
  device(device: Buffer): void {
    const { link, lz4 } = this.#options;
    const figures = this.#figures!;
    const before = this.#full ? undefined : this.#device;
    // Both hosts know it from here on; the caller's memory is its own again.
    this.#device = lz4 && Buffer.from(device);
    if (!lz4 || !this.packs || device.length > DEVICE_PACKED_BYTES_MAX) {
      figures.deviceBytes = device.length;
      return this.#in(0, () => link.device(device));
    }
    const payload = packDevice(lz4, device, before);
    figures.deviceBytes = bytesOf(payload);
    this.#in(0, () => link.devicePacked(payload));
  }

  /** As SenderSession.commit. */
  commit(): void {
    const figures = this.#figures!;
    const epoch = this.#epoch;
    this.#unacknowledged.push({ epoch, figures });
    this.#in(0, () => this.#options.link.commit());
  }

  /** The backup has committed everything up to `epoch`. Returns what was sent of these, oldest first. */
  committed(epoch: number): SentFigures[] {
    const done: SentFigures[] = [];
    const now = this.#options.clock.now();
    while (this.#unacknowledged.length > 0 && this.#unacknowledged[0]!.epoch <= epoch) {
      const { figures } = this.#unacknowledged.shift()!;
      this.#options.choice.committed(figures, now);
      done.push(figures);
    }
    return done;
  }

  #begin(epoch: number, full: boolean): void {
    this.#epoch = epoch;
    this.#full = full;
    this.#choose();
  }

  /** A full copy goes on; how it went so far may change the effort. */
  #nextPart(): void {
    this.#options.choice.part(this.#figures!, this.#backlogBytes, this.#options.clock.now());
    this.#choose();
  }

  #choose(): void {
    const { lz4, choice, clock } = this.#options;
    this.#level = lz4 ? choice.next(this.#full) : 'plain';
    const now = clock.now();
    this.#figures = {
      ...{ full: this.#full, level: this.#level, plainBytes: 0, sentBytes: 0, deviceBytes: 0 },
      pages: { data: 0, fill: 0, same: 0, delta: 0 },
      ...{ leftOutBytes: 0, packMs: 0, fromMs: now, backlogBytes: this.#backlogBytes },
    };
  }

  #send(chunk: PageChunk, level: PackLevel, figures: SentFigures, onSent: () => void): void {
    const { link, clock } = this.#options;
    const plainBytes = chunk.count * ENTRY_BYTES + chunk.dataBytes;
    const from = clock.now();
    if (figures.plainBytes === 0) figures.fromMs = from;
    figures.plainBytes += plainBytes;
    // Runs of filled pages cost nothing to find.
    const filled = chunk.dataPages === 0 && this.#packer !== undefined;
    if ((level === 'plain' && !filled) || link.state === 'closed') {
      this.#packer?.passed(chunk);
      return link.chunk(chunk, this.#handed(figures, plainBytes, onSent));
    }
    const payload = this.#pack(chunk, level === 'plain' ? 'filter' : level, figures);
    figures.packMs += clock.now() - from;
    link.packed(payload, chunk.count, this.#handed(figures, bytesOf(payload), onSent));
  }

  #pack(chunk: PageChunk, effort: Effort, figures: SentFigures): Buffer[] {
    const packer = this.#packer!;
    const { leftOut, counters } = packer;
    const before = { ...counters };
    const payload = packer.pack(chunk, effort);
    figures.leftOutBytes += (packer.leftOut - leftOut) * (ENTRY_BYTES + PAGE_BYTES);
    for (const kind of PACKED_KINDS) figures.pages[kind] += counters[kind] - before[kind];
    return payload;
  }

  /** Counts bytes from now until they have left. */
  #handed(figures: SentFigures, bytes: number, onSent: () => void): () => void {
    figures.sentBytes += bytes;
    this.#backlogBytes += bytes;
    return () => {
      this.#backlogBytes -= bytes;
      onSent();
    };
  }

  /** Does it now if it is its turn, or later, in order. */
  #in(pages: number, run: () => void): void {
    if (this.#waiting.length > 0 || (pages > 0 && this.#pagesLeft <= 0)) {
      this.#waiting.push({ pages, run });
      return;
    }
    this.#do({ pages, run });
  }

  #do({ pages, run }: Waiting): void {
    if (pages > 0) {
      this.#pagesLeft -= pages;
      if (!this.#turnComes) {
        this.#turnComes = true;
        this.#later(() => this.#turn());
      }
    }
    run();
  }

  #turn(): void {
    this.#turnComes = false;
    this.#pagesLeft = PAGES_PER_TURN;
    const waited = this.#waiting.length > 0;
    while (this.#waiting.length > 0) {
      if (this.#waiting[0]!.pages > 0 && this.#pagesLeft <= 0) return;
      this.#do(this.#waiting.shift()!);
    }
    if (waited && this.#windowWanted) {
      this.#windowWanted = false;
      if (this.#options.link.window) this.#options.windowOpen();
    }
  }
}

function bytesOf(buffers: readonly Buffer[]): number {
  return buffers.reduce((sum, { length }) => sum + length, 0);
}
