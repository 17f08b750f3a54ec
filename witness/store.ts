/**
 * The witness's memory: the registers of many VMs in one append-only file, on disk before anything
 * is answered.
 *
 * Transitions are decided one after the other in memory, so that racing requests see each other,
 * and every answer, also to a read, waits until all lines written so far are on disk. Requests that
 * come while one fsync runs share the next. After a failed write or fsync nothing is known about
 * the file any more: every answer is an error from then on, and the process must end.
 *
 * Invariant: durable ≤ decided; what was answered is among the first `durable` transitions, and
 * those are in the file.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { Distribution } from '../common/distribution.ts';
import { CurlingError, messageOf } from '../common/errors.ts';
import { type Lock, lock as lockFile } from '../common/lock.ts';
import { newIdentity } from '../coordinator/arbitration/incarnation.ts';
import {
  applyTransition,
  type Register,
  type RegisterBackend,
  type SwapRequest,
  type SwapResult,
} from '../coordinator/arbitration/register.ts';
import {
  type Entry,
  forgottenGeneration,
  isRegister,
} from '../coordinator/arbitration/register-entry.ts';
import { emptyStore, entryLine, headerLine, type Journal, readJournal } from './journal.ts';

export interface WitnessStoreOptions {
  /** VMs that are kept, forgotten ones too; one more is refused. Default 1,024. */
  vmsMax?: number;
  /** Bytes at which superseded lines are left out of the file. Default 4 MiB. */
  compactBytes?: number;
  /** For tests: the rules of the register. */
  transition?: typeof applyTransition;
}

/** Larger than any store that compacts itself; a larger file is something else. */
const STORE_BYTES_MAX = 256 << 20;

/**
 * Creates a store with a new random id and returns the id. It appears whole or not at all; its folder is made, for its
 * own user alone, when it is missing.
 * @throws CurlingError CURLING_WITNESS_STORE when the file exists or cannot be written.
 */
export async function initStore(file: string): Promise<string> {
  const store = newIdentity();
  const draft = `${file}.${store.slice(0, 8)}.new`;
  try {
    await fs.mkdir(path.dirname(path.resolve(file)), { recursive: true, mode: 0o700 });
    await writeWhole(draft, headerLine(store).text);
    await fs.link(draft, file);
    await syncFolder(file);
    return store;
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const text = exists
      ? `${file} exists already. To remove it is to forget who may run: ` +
        'do so only when no VM is protected by it'
      : `cannot create ${file}: ${messageOf(error)}`;
    throw new CurlingError('CURLING_WITNESS_STORE', text, { cause: error });
  } finally {
    await fs.rm(draft, { force: true });
  }
}

export class WitnessStore implements RegisterBackend {
  readonly id: string;
  /** Settles, by rejection, when the store failed and the process must end. */
  readonly failed: Promise<never>;
  readonly counters = { swaps: 0, refused: 0, syncs: 0, compactions: 0, tornBytesCut: 0 };
  /** How long it took each time until what was decided was on disk. */
  readonly syncs = new Distribution();
  readonly #file: string;
  readonly #lock: Lock;
  readonly #options: Required<WitnessStoreOptions>;
  /** As decided, on disk or not. */
  readonly #vms: Map<string, Entry>;
  /** As in the file. */
  readonly #written: Map<string, Entry>;
  #handle: fs.FileHandle;
  #bytes: number;
  #sum: string;
  #lines: number;
  #queue: Entry[] = [];
  #decided = 0;
  #durable = 0;
  #flushing: Promise<void> | undefined;
  #broken: CurlingError | undefined;
  #fail: (error: CurlingError) => void = () => {};

  private constructor(
    file: string,
    lock: Lock,
    handle: fs.FileHandle,
    journal: Journal,
    options: WitnessStoreOptions,
  ) {
    this.#file = file;
    this.#lock = lock;
    this.#handle = handle;
    this.#options = {
      vmsMax: 1_024,
      compactBytes: 4 << 20,
      transition: applyTransition,
      ...options,
    };
    this.id = journal.store;
    this.#vms = journal.vms;
    this.#written = new Map(journal.vms);
    this.#lines = journal.entries;
    this.#bytes = journal.bytes;
    this.#sum = journal.sum;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {});
  }

  /**
   * Locks and reads a store, cutting off a line that was never finished.
   * @throws CurlingError CURLING_WITNESS_EMPTY without one; CURLING_WITNESS_STORE when it is
   *   damaged or in use.
   */
  static async open(file: string, options: WitnessStoreOptions = {}): Promise<WitnessStore> {
    // The lock comes first: a file that was opened before could be replaced by the one who holds
    // it.
    if (!existsSync(file)) throw emptyStore(file);
    const lock = lockFile(file, 'CURLING_WITNESS_STORE', 'one witness serves a store');
    let handle: fs.FileHandle | undefined;
    try {
      handle = await fs.open(file, 'r+');
      const { size } = await handle.stat();
      if (size > STORE_BYTES_MAX) throw new Error(`${size} bytes are more than a store has`);
      const journal = readJournal(await handle.readFile(), file);
      const store = new WitnessStore(file, lock, handle, journal, options);
      await store.#mend(journal, size);
      return store;
    } catch (error) {
      lock.release();
      await handle?.close();
      if (error instanceof CurlingError) throw error;
      const text = `cannot use ${file}: ${messageOf(error)}`;
      throw new CurlingError('CURLING_WITNESS_STORE', text, { cause: error });
    }
  }

  /** VMs that have a register. */
  get vms(): number {
    return [...this.#vms.values()].filter(isRegister).length;
  }

  /** As many VMs as can have one. */
  get vmsMax(): number {
    return this.#options.vmsMax;
  }

  /** Bytes of the file. */
  get bytes(): number {
    return this.#bytes;
  }

  async storeId(): Promise<string> {
    return this.id;
  }

  /** @throws CurlingError CURLING_WITNESS_STORE when the file failed. */
  async read(vm: string): Promise<Register | null> {
    const register = this.#register(vm);
    await this.#untilDurable();
    return register;
  }

  /** The generation in which an absent register was forgotten; 0 when it is not forgotten. */
  forgottenIn(vm: string): number {
    return forgottenGeneration(this.#vms.get(vm));
  }

  /**
   * Decides one request; the answer is on disk when it comes.
   * @throws CurlingError CURLING_BUSY when one VM too many would be created, CURLING_WITNESS_STORE
   *   when the file failed.
   */
  async swap(request: SwapRequest): Promise<SwapResult> {
    if (this.#broken) throw this.#broken;
    const { vm } = request;
    const { transition } = this.#options;
    const result = transition(this.#register(vm), request, this.id, this.forgottenIn(vm));
    if (result.swapped && result.register) this.#decide(result.register);
    this.counters[result.swapped ? 'swaps' : 'refused']++;
    await this.#untilDurable();
    return result;
  }

  /**
   * Takes a register away, on disk when this resolves. Only for an operator who knows that no guest
   * of this VM runs anywhere: whoever is created next does not know of it.
   * @returns The generation of the forgetting; a new register begins with the next.
   * @throws CurlingError CURLING_REGISTER when there is no register, CURLING_WITNESS_STORE when the
   *   file failed.
   */
  async forget(vm: string): Promise<number> {
    if (this.#broken) throw this.#broken;
    const register = this.#register(vm);
    const generation = (register?.generation ?? 0) + 1;
    if (register === null || !Number.isSafeInteger(generation)) {
      const text = `${this.#file} has no register of ${vm} that could be forgotten`;
      throw new CurlingError('CURLING_REGISTER', text);
    }
    this.#decide({ store: this.id, vm, generation, mode: 'FORGOTTEN' });
    await this.#untilDurable();
    return generation;
  }

  /** Writes what waits, and gives the store up. May be called again. */
  async close(): Promise<void> {
    await this.#untilDurable().catch(() => {});
    await this.#handle.close().catch(() => {});
    this.#lock.release();
  }

  #register(vm: string): Register | null {
    const entry = this.#vms.get(vm);
    return entry && isRegister(entry) ? entry : null;
  }

  #decide(entry: Entry): void {
    if (!this.#vms.has(entry.vm) && this.#vms.size >= this.#options.vmsMax) {
      const { vmsMax } = this.#options;
      const text = `this witness keeps at most ${vmsMax} VMs; ${entry.vm} was not created`;
      throw new CurlingError('CURLING_BUSY', text);
    }
    this.#vms.set(entry.vm, entry);
    this.#queue.push(entry);
    this.#decided++;
  }

  async #untilDurable(): Promise<void> {
    const until = this.#decided;
    while (this.#durable < until && !this.#broken) {
      this.#flushing ??= this.#flush().finally(() => {
        this.#flushing = undefined;
      });
      await this.#flushing;
    }
    if (this.#broken) throw this.#broken;
  }

  async #flush(): Promise<void> {
    const batch = this.#queue;
    const decided = this.#decided;
    this.#queue = [];
    const startedAt = performance.now();
    try {
      const bytes = Buffer.from(batch.map(entry => this.#line(entry)).join(''));
      await writeAt(this.#handle, bytes, this.#bytes);
      await this.#handle.sync();
      this.#bytes += bytes.length;
      this.#lines += batch.length;
      for (const entry of batch) this.#written.set(entry.vm, entry);
      this.counters.syncs++;
      this.syncs.record(performance.now() - startedAt);
      await this.#compactIfLarge();
      this.#durable = decided;
      assert(this.#durable <= this.#decided);
    } catch (error) {
      const what = `${this.#file} cannot be written: ${messageOf(error)}`;
      const text = `${what}. Nothing is answered any more`;
      this.#broken = new CurlingError('CURLING_WITNESS_STORE', text, { cause: error });
      this.#fail(this.#broken);
    }
  }

  #line(entry: Entry): string {
    const line = entryLine(this.#sum, entry);
    this.#sum = line.sum;
    return line.text;
  }

  async #mend(journal: Journal, size: number): Promise<void> {
    this.counters.tornBytesCut = size - journal.bytes;
    if (size > journal.bytes) await this.#handle.truncate(journal.bytes);
    if (journal.newlineMissing) {
      await writeAt(this.#handle, Buffer.from('\n'), journal.bytes);
      this.#bytes++;
    }
    await this.#handle.sync();
    await this.#compactIfLarge();
  }

  /**
   * Replaces the file by one with only the newest entry of each VM, when that at least halves it.
   */
  async #compactIfLarge(): Promise<void> {
    const worthIt = this.#lines > 2 * this.#written.size;
    if (this.#bytes <= this.#options.compactBytes || !worthIt) return;
    const header = headerLine(this.id);
    this.#sum = header.sum;
    const lines = [...this.#written.values()].map(entry => this.#line(entry));
    const text = header.text + lines.join('');
    const draft = `${this.#file}.compact`;
    await writeWhole(draft, text);
    await fs.rename(draft, this.#file);
    await syncFolder(this.#file);
    const old = this.#handle;
    this.#handle = await fs.open(this.#file, 'r+');
    await old.close();
    this.#bytes = Buffer.byteLength(text);
    this.#lines = lines.length;
    this.counters.compactions++;
  }
}

async function writeAt(handle: fs.FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const left = bytes.length - done;
    done += (await handle.write(bytes, done, left, position + done)).bytesWritten;
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const handle = await fs.open(file, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a new name in the file's folder survive a power cut. */
async function syncFolder(file: string): Promise<void> {
  const handle = await fs.open(path.dirname(path.resolve(file)), 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
