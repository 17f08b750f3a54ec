/**
 * The backup's store, with the production's assembly and shadow over memory. It follows the rules of
 * coordinator/checkpoint/store.ts: a checkpoint counts with its commit, a commit waits for the one before to be applied,
 * and the shadow is the memory that the standby QEMU has mapped.
 */
import assert from 'node:assert/strict';
import { Assembly } from '../../coordinator/checkpoint/assembly.ts';
import { type GuestLayout, PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { Shadow } from '../../coordinator/checkpoint/shadow.ts';
import { type StoreIo, storeError } from '../../coordinator/checkpoint/store-io.ts';
import type { Frame } from '../../coordinator/replication/decode.ts';
import type { PagesRecord } from '../../coordinator/replication/parse.ts';
import type { CheckpointSink } from '../../coordinator/replication/sink.ts';
import type { PairIdentity } from '../../coordinator/replication/types.ts';
import { MAIN_BYTES } from './guest.ts';

const MAIN_FD = 1;
const LIMITS = { stagedBytesMax: 1 << 20, deviceBytesMax: 1 << 16 };

interface Held {
  readonly pair: PairIdentity;
  committed: number;
  applied: number;
  device: Buffer;
  pending: PagesRecord[];
}

/** Where the store says what happens to it. */
export interface StoreHooks {
  /** `verified`, before the commit counts; `committed`, after it; `applied`. */
  passed(point: 'verified' | 'committed' | 'applied' | 'aborted', epoch: number): void;
  /** Some milliseconds of work on another thread. */
  work(done: () => void): void;
}

/** What `await` and `.then` of the sessions need of a promise, fulfilled in virtual time. */
export function eventually(work: (done: () => void, failed: (error: Error) => void) => void) {
  // biome-ignore lint/suspicious/noThenProperty: what is awaited here is ready at a virtual time.
  return { then: work } as unknown as Promise<void>;
}

export class SimStore implements CheckpointSink {
  readonly stagedBytesMax = LIMITS.stagedBytesMax;
  readonly main = Buffer.alloc(MAIN_BYTES);
  #others = Buffer.alloc(PAGE_BYTES);
  readonly #hooks: StoreHooks;
  readonly #shadowIo: StoreIo;
  #shadow: Shadow | undefined;
  #held: Held | undefined;
  #open: { assembly: Assembly; pair: PairIdentity; records: PagesRecord[] } | undefined;
  #turn = 0;
  #ended = false;
  acked = -1;

  constructor(hooks: StoreHooks) {
    this.#hooks = hooks;
    this.#shadowIo = {
      write: (fd, buffers, position) => {
        const memory = fd === MAIN_FD ? this.main : this.#others;
        let at = position;
        for (const buffer of buffers) at += buffer.copy(memory, at);
      },
      truncate: () => {},
      replace: () => {},
      remove: () => {},
      sync: () => {},
    };
  }

  get identity(): PairIdentity | undefined {
    return this.#held?.pair;
  }

  get committed(): number | undefined {
    return this.#held?.committed;
  }

  beginFull(frame: Frame, layout: GuestLayout): Promise<void> {
    // A connection from before this store was given up comes too late.
    if (this.#ended) return eventually((_done, failed) => failed(storeError('it has ended')));
    assert(!this.#open, 'one checkpoint at a time');
    this.abort();
    this.#held = undefined;
    const turn = this.#turn;
    return eventually((done, failed) =>
      this.#hooks.work(() => {
        if (turn !== this.#turn) return failed(storeError('the full copy was given up'));
        this.main.fill(0);
        this.#others = Buffer.alloc(PAGE_BYTES);
        this.#shadow = new Shadow(this.#shadowIo, layout, MAIN_FD, MAIN_FD + 1);
        this.#shadow.clear();
        this.#begin(frame, layout);
        done();
      }),
    );
  }

  beginCheckpoint(frame: Frame): void {
    assert(this.#held && !this.#ended && !this.#open, 'a checkpoint follows a committed one');
    assert(frame.epoch === this.#held.committed + 1, 'a checkpoint has the next epoch');
    this.#begin(frame, this.#layout!);
  }

  pages(frame: Frame): void {
    const open = this.#open!;
    const record = open.assembly.pages(frame);
    if (open.assembly.full) this.#shadow!.apply(record);
    else open.records.push(record);
  }

  device(frame: Frame): void {
    this.#open!.assembly.device(frame);
  }

  commit(frame: Frame): void {
    const { assembly, pair, records } = this.#open!;
    const device = assembly.finish(frame);
    this.#hooks.passed('verified', frame.epoch);
    if (assembly.full) this.#shadow!.settle();
    else this.apply();
    const committed = frame.epoch;
    const applied = assembly.full ? committed : this.#held!.applied;
    this.#held = { pair, committed, applied, device, pending: records };
    this.#open = undefined;
    assert(applied <= committed && committed <= applied + 1);
    this.#hooks.passed('committed', committed);
  }

  abort(): void {
    if (this.#open) this.#hooks.passed('aborted', this.#open.assembly.epoch);
    this.#turn++;
    this.#open = undefined;
  }

  apply(): void {
    const held = this.#held;
    if (!held || held.applied === held.committed) return;
    for (const record of held.pending) this.#shadow!.apply(record);
    held.applied = held.committed;
    held.pending = [];
    this.#hooks.passed('applied', held.applied);
  }

  noteAck(epoch: number): void {
    assert(this.#held && epoch <= this.#held.committed, 'only what is committed is acknowledged');
    this.acked = epoch;
  }

  /** The committed checkpoint for a failover; nothing is accepted any more. */
  finalize(): { epoch: number; device: Buffer; main: Buffer; other: Buffer } {
    this.abort();
    this.apply();
    const held = this.#held;
    assert(held, 'only a committed checkpoint is resumed from');
    this.#ended = true;
    const other = this.#shadow!.otherBlocks().get(1)!;
    return { epoch: held.committed, device: held.device, main: this.main, other };
  }

  /** Nothing more is taken. */
  close(): void {
    this.abort();
    this.#ended = true;
  }

  /** What the committed checkpoint holds, for the judge. */
  get deviceState(): Buffer | undefined {
    return this.#held?.device;
  }

  #layout: GuestLayout | undefined;

  #begin(frame: Frame, layout: GuestLayout): void {
    const { generation, sender, receiver } = frame;
    this.#layout = layout;
    const pair = { generation, sender, receiver };
    this.#open = { assembly: new Assembly(frame, layout, LIMITS), pair, records: [] };
  }
}
