/**
 * What a backup holds of a guest: the newest committed checkpoint, in a directory of a memory file
 * system.
 *
 *   main-NAME       shadow of the main RAM block; always the same file, as the standby QEMU maps it
 *   blocks          the small blocks, one after the other
 *
 * A full copy goes straight into the shadow. Each further checkpoint is staged in memory, verified, and committed; then
 * it is applied to the shadow. A process that dies takes what it staged with it, so the one after it begins empty
 * (`create`): a shadow that may be between two checkpoints is never resumed from.
 *
 * A store that is `recoverable` writes every checkpoint twice, so that `recover` can redo it in another process:
 *
 *   slot-0, slot-1  the two newest checkpoints as they came, or unpacked (journal.ts); device state is only here
 *   marks           last epoch acknowledged, last epoch applied (marks.ts)
 *   manifest        binds all this to one pair and one boot (manifest.ts)
 *
 * There a full copy counts from the moment its manifest is in place, a further checkpoint from the moment its commit
 * record is in its slot. The slot of `committed` is whole: applying it again makes the shadow exactly `committed`; it is
 * reused two epochs later, never earlier.
 *
 * Invariant: applied ≤ committed ≤ applied + 1. The shadow is at checkpoint `applied`, or between it and `committed`
 * while that is being applied. A commit waits for the checkpoint before it to be applied.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import type { StopAt } from '../../common/test-stop.ts';
import type { Frame } from '../replication/decode.ts';
import { commitPayload, devicePayload, encodeFrame, recordPayload } from '../replication/encode.ts';
import type { PagesRecord } from '../replication/parse.ts';
import type { CheckpointSink } from '../replication/sink.ts';
import { CheckpointSummary } from '../replication/summary.ts';
import { MESSAGE, type MessageType, type PairIdentity } from '../replication/types.ts';
import { checkRoom, zeroAndReserve } from './allocate.ts';
import { Assembly } from './assembly.ts';
import { type GuestLayout, PAGE_BYTES } from './layout.ts';
import { encodeManifest } from './manifest.ts';
import type { Mark } from './marks.ts';
import { type Found, findCommitted } from './recovery.ts';
import { otherBytesOf, Shadow } from './shadow.ts';
import { stagingBound } from './staging-bound.ts';
import { makeDirectory, removeFiles, StoreFiles } from './store-files.ts';
import { nodeIo, type StoreIo, storeError } from './store-io.ts';

export interface StoreOptions {
  /** Made with mode 0700, e.g. /dev/shm/curling/VM. */
  directory: string;
  vm: string;
  /** Of this machine: `readBootId()`. */
  bootId: string;
  /** Most payload bytes of one checkpoint. Default: by the guest's memory, see staging-bound.ts. */
  stagedBytesMax?: number | undefined;
  /** Default 64 MiB. */
  deviceBytesMax?: number;
  /** All RAM blocks but the main one. Default 256 MiB. */
  otherBytesMax?: number;
  /** Room that must be free besides the guest's memory. Default 64 MiB. */
  spareBytes?: number;
  /** Whether another process may `recover` it, for which each page is copied once more. Default false. */
  recoverable?: boolean;
  /** For tests. */
  io?: StoreIo;
  /** For tests. */
  stopAt?: StopAt;
}

/** A committed checkpoint, ready to be resumed from. */
export interface CommittedGuest {
  layout: GuestLayout;
  /** The shadow of the main block. */
  mainPath: string;
  /** Contents of all other blocks, by index. */
  otherBlocks: Map<number, Buffer>;
  device: Buffer;
  epoch: number;
  generation: number;
}

/** The state that counts. */
interface Held {
  pair: PairIdentity;
  layout: GuestLayout;
  shadow: Shadow;
  fullEpoch: number;
  committed: number;
  applied: number;
  device: Buffer;
  /** Pages of `committed` while it is not applied. */
  pending: PagesRecord[];
}

/** What comes in. */
interface Open {
  assembly: Assembly;
  pair: PairIdentity;
  layout: GuestLayout;
  shadow: Shadow;
  records: PagesRecord[];
  /** Sum of the messages that are journalled: not a full copy's pages, and those that came packed are whole. */
  journalled: CheckpointSummary;
}

type Limits = Required<Omit<StoreOptions, 'io' | 'stopAt' | 'stagedBytesMax'>>;

export class Store implements CheckpointSink {
  readonly counters = { commits: 0, aborts: 0, appliedPages: 0 };
  readonly #limits: Limits;
  readonly #stagedBytesMax: number | undefined;
  readonly #io: StoreIo;
  readonly #stopAt: StopAt | undefined;
  readonly #files: StoreFiles;
  #prepared: { block: string; bytes: number; path: string } | undefined;
  #held: Held | undefined;
  #open: Open | undefined;
  /** Work on another thread that uses the shadow's file; there is one at a time. */
  #busy: Promise<void> = Promise.resolve();
  /**
   * Counts what ends a checkpoint, so that a full copy which had to wait can tell whether it is
   * still wanted.
   */
  #turn = 0;
  #ended = false;
  #closed = false;

  private constructor(options: StoreOptions) {
    const { io = nodeIo, stopAt, stagedBytesMax, ...limits } = options;
    this.#io = io;
    this.#stopAt = stopAt;
    this.#stagedBytesMax = stagedBytesMax;
    this.#limits = {
      deviceBytesMax: 64 << 20,
      otherBytesMax: 256 << 20,
      spareBytes: 64 << 20,
      recoverable: false,
      ...limits,
    };
    makeDirectory(options.directory);
    this.#files = new StoreFiles(io, options.directory);
  }

  /**
   * An empty store; what is left of an earlier one is removed. @throws CurlingError CURLING_STORE
   */
  static create(options: StoreOptions): Store {
    removeFiles(options.io ?? nodeIo, options.directory);
    return new Store(options);
  }

  /**
   * The store that a crashed process left, brought to its newest committed checkpoint; or in
   * `nothing` the reason why there is none. Then the directory is as it was, and the caller must
   * take a new incarnation and `create`.
   */
  static recover(options: StoreOptions): { store: Store } | { nothing: string } {
    if (!fs.existsSync(options.directory)) return { nothing: 'there is no store' };
    const store = new Store(options);
    const found = findCommitted(store.#files, options.vm, options.bootId);
    if ('nothing' in found) {
      store.#files.close();
      return found;
    }
    store.#restore(found);
    return { store };
  }

  get identity(): PairIdentity | undefined {
    return this.#held?.pair;
  }

  get committed(): number | undefined {
    return this.#held?.committed;
  }

  /** Epoch that the shadow is at. */
  get applied(): number | undefined {
    return this.#held?.applied;
  }

  /** Newest epoch that was marked as acknowledged, by this process or the one before it. */
  get acked(): number | undefined {
    return this.#held && this.#files.marks.get('acked', this.#held.pair.generation);
  }

  /** Known once the guest's memory is: after `prepare`. */
  get stagedBytesMax(): number {
    return stagingBound(this.#stagedBytesMax, this.#prepared?.bytes ?? 0);
  }

  /**
   * Makes the shadow of the guest's main block: a file of exactly `bytes`, which the standby QEMU
   * may map from now on. Returns its path. What was held is given up. The file is emptied and
   * reserved by the full copy: that takes 0.4 s for each GiB, which a pairing must not wait for.
   * @throws CurlingError CURLING_STORE when there is no room, naming what is needed and what is
   *   free.
   */
  async prepare(block: string, bytes: number): Promise<string> {
    assert(!this.#ended, 'the store has ended');
    if (bytes <= 0 || bytes % PAGE_BYTES !== 0) throw storeError(`${bytes} bytes are not pages`);
    this.forget();
    await this.#alone(async () => {
      this.#size(block, bytes);
    });
    return this.#prepared!.path;
  }

  #size(block: string, bytes: number): number {
    const main = this.#files.openMain(block);
    this.#prepared = undefined;
    checkRoom(this.#limits.directory, main.fd, bytes, this.#limits.spareBytes);
    fs.ftruncateSync(main.fd, bytes);
    this.#prepared = { block, bytes, path: main.path };
    return main.fd;
  }

  /** As `prepare`, and nothing but zeros in it, for which there is room. */
  async #empty(block: string, bytes: number): Promise<void> {
    this.forget();
    await this.#alone(async () => {
      const fd = this.#size(block, bytes);
      await zeroAndReserve(fd, bytes);
    });
  }

  async beginFull(frame: Frame, layout: GuestLayout): Promise<void> {
    assert(!this.#ended && !this.#open, 'one checkpoint at a time');
    const main = layout.blocks[layout.mainBlock]!;
    const otherBytes = otherBytesOf(layout);
    if (otherBytes > this.#limits.otherBytesMax) {
      throw storeError(`small RAM blocks of ${otherBytes} bytes are more than is allowed`);
    }
    const ready = this.#prepared;
    if (ready && (ready.block !== main.name || ready.bytes !== main.bytes)) {
      const want = `${ready.block} of ${ready.bytes} bytes`;
      throw storeError(`expected the main block ${want}, got ${main.name} of ${main.bytes}`);
    }
    // From here on nothing is held: the shadow changes.
    const emptied = this.#empty(main.name, main.bytes);
    const turn = this.#turn;
    await emptied;
    if (turn !== this.#turn) throw storeError('the full copy was given up before it began');
    const shadow = new Shadow(this.#io, layout, this.#files.main!.fd, this.#files.othersFd);
    shadow.clear();
    if (this.#limits.recoverable) this.#files.marks.clear();
    this.#begin(frame, layout, shadow);
  }

  beginCheckpoint(frame: Frame): void {
    const held = this.#held;
    assert(held && !this.#ended && !this.#open, 'a checkpoint follows a committed one');
    assert(frame.epoch === held.committed + 1, 'a checkpoint has the next epoch');
    this.#begin(frame, held.layout, held.shadow);
  }

  pages(frame: Frame): void {
    const open = this.#opened();
    const packed = frame.type === MESSAGE.packed;
    // What is packed refers to the checkpoint before.
    if (packed) this.apply();
    const record = packed
      ? open.assembly.packed(frame, open.shadow.read)
      : open.assembly.pages(frame);
    if (record.count === 0) return;
    if (open.assembly.full) {
      open.shadow.apply(record);
      return record.release();
    }
    if (packed) this.#journalWhole(frame, MESSAGE.pages, recordPayload(record), record.count);
    else this.#journal(frame, record.count);
    open.records.push(record);
  }

  device(frame: Frame): void {
    const { assembly } = this.#opened();
    if (frame.type === MESSAGE.devicePacked) {
      const device = assembly.devicePacked(frame, this.#held?.device);
      return this.#journalWhole(frame, MESSAGE.device, devicePayload(device, 0, device.length));
    }
    assembly.device(frame);
    this.#journal(frame);
    frame.payload.release();
  }

  commit(frame: Frame): void {
    const open = this.#opened();
    this.#stopAt?.('received');
    const device = open.assembly.finish(frame);
    this.#stopAt?.('verified');
    const { pair, layout, shadow, records } = open;
    const { epoch, full } = open.assembly;
    if (full) {
      shadow.settle();
      this.#commitFull(frame, open);
    } else {
      this.apply();
      if (this.#limits.recoverable) this.#files.journal.commit(this.#ownCommit(frame, open));
    }
    const fullEpoch = full ? epoch : this.#held!.fullEpoch;
    const applied = full ? epoch : this.#held!.applied;
    const pending = records;
    this.#held = { pair, layout, shadow, fullEpoch, committed: epoch, applied, device, pending };
    this.#open = undefined;
    this.counters.commits++;
    this.#check();
    this.#stopAt?.('committed');
  }

  abort(): void {
    this.#turn++;
    if (!this.#open) return;
    for (const record of this.#open.records) record.release();
    this.#open = undefined;
    this.counters.aborts++;
  }

  /**
   * Brings the shadow to the committed checkpoint; does nothing when it is there. May be tried
   * again when it failed.
   */
  apply(): void {
    const held = this.#held;
    if (!held || held.applied === held.committed) return;
    this.#mark('applying', held.committed);
    for (const record of held.pending) {
      held.shadow.apply(record);
      this.counters.appliedPages += record.count;
    }
    held.applied = held.committed;
    for (const record of held.pending.splice(0)) record.release();
    this.#check();
    this.#stopAt?.('applied');
  }

  noteAck(epoch: number): void {
    assert(this.#held && epoch <= this.#held.committed, 'only what is committed is acknowledged');
    this.#mark('acked', epoch);
  }

  /**
   * The committed checkpoint for a failover; nothing is accepted any more. Call `discard` before the guest is let run,
   * as its memory is the shadow.
   */
  finalize(): CommittedGuest {
    this.abort();
    const guest = this.view();
    this.#ended = true;
    return guest;
  }

  /** The committed checkpoint as it is now, to be looked at: it goes on changing. The store must hold one. */
  view(): CommittedGuest {
    this.apply();
    const held = this.#held;
    assert(held, 'only a committed checkpoint is resumed from');
    return {
      layout: held.layout,
      mainPath: this.#files.main!.path,
      otherBlocks: held.shadow.otherBlocks(),
      device: held.device,
      epoch: held.committed,
      generation: held.pair.generation,
    };
  }

  /** Gives up what is held. The shadow's file stays for the standby QEMU that has it mapped. */
  forget(): void {
    this.abort();
    this.#io.remove(this.#files.manifestPath);
    for (const record of this.#held?.pending ?? []) record.release();
    this.#held = undefined;
    this.#files.journal.clear();
  }

  /** Closes and removes all files. A QEMU that has the shadow mapped keeps the memory. */
  async discard(): Promise<void> {
    await this.close();
    removeFiles(this.#io, this.#limits.directory);
  }

  /** Closes the files and leaves them. */
  async close(): Promise<void> {
    this.abort();
    this.#ended = true;
    await this.#busy;
    if (!this.#closed) this.#files.close();
    this.#closed = true;
  }

  #begin(frame: Frame, layout: GuestLayout, shadow: Shadow): void {
    const { generation, sender, receiver } = frame;
    const { stagedBytesMax } = this;
    const assembly = new Assembly(frame, layout, { ...this.#limits, stagedBytesMax });
    const pair = { generation, sender, receiver };
    const journalled = new CheckpointSummary();
    this.#open = { assembly, pair, layout, shadow, records: [], journalled };
    if (this.#limits.recoverable) this.#files.journal.begin(frame.epoch);
    this.#journal(frame);
  }

  #mark(mark: Mark, epoch: number): void {
    if (this.#limits.recoverable) this.#files.marks.set(mark, this.#held!.pair.generation, epoch);
  }

  #journal(frame: Frame, pages = 0): void {
    if (!this.#limits.recoverable) return;
    this.#opened().journalled.add(frame.digest, frame.payload.bytes, pages);
    this.#files.journal.append([frame.header, ...frame.payload.pieces]);
  }

  /** What came packed is journalled whole: what it refers to is gone when it is read again. */
  #journalWhole(frame: Frame, type: MessageType, payload: readonly Buffer[], pages = 0): void {
    if (!this.#limits.recoverable) return;
    const { buffers, digest, payloadBytes } = encodeFrame(type, frame, payload);
    this.#opened().journalled.add(digest, payloadBytes, pages);
    this.#files.journal.append(buffers);
  }

  /** A commit record for what is journalled. */
  #ownCommit(frame: Frame, { journalled }: Open): Buffer[] {
    return encodeFrame(MESSAGE.commit, frame, commitPayload(journalled.record())).buffers;
  }

  /** The slot of a full copy has all but its pages, and a commit record that says so. */
  #commitFull(frame: Frame, open: Open): void {
    if (!this.#limits.recoverable) return;
    const { pair, layout } = open;
    this.#files.journal.commit(this.#ownCommit(frame, open));
    const { vm, bootId } = this.#limits;
    const manifest = { vm, bootId, ...pair, fullEpoch: frame.epoch, layout };
    this.#io.replace(this.#files.manifestPath, encodeManifest(manifest));
  }

  #restore({ manifest, checkpoint }: Exclude<Found, { nothing: string }>): void {
    const { layout, fullEpoch, generation, sender, receiver } = manifest;
    const main = this.#files.openMain(layout.blocks[layout.mainBlock]!.name);
    const shadow = new Shadow(this.#io, layout, main.fd, this.#files.othersFd);
    shadow.load();
    const { name, bytes } = layout.blocks[layout.mainBlock]!;
    this.#prepared = { block: name, bytes, path: main.path };
    const { epoch, records, device } = checkpoint;
    const applied = epoch === fullEpoch ? epoch : epoch - 1;
    this.#held = {
      pair: { generation, sender, receiver },
      layout,
      shadow,
      fullEpoch,
      committed: epoch,
      applied,
      device,
      pending: records,
    };
    this.apply();
  }

  /** Runs work that must not overlap with other work on the shadow. */
  #alone(work: () => Promise<void>): Promise<void> {
    const mine = this.#busy.then(work);
    this.#busy = mine.catch(() => {});
    return mine;
  }

  #opened(): Open {
    assert(this.#open && !this.#ended, 'a checkpoint is begun first');
    return this.#open;
  }

  #check(): void {
    const { applied, committed, fullEpoch } = this.#held!;
    assert(fullEpoch <= applied && applied <= committed && committed <= applied + 1);
  }
}

/** Identifies this boot of the machine. */
export function readBootId(): string {
  return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
