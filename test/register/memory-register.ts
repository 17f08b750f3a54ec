/** A register in the memory of this process: what the real ones are compared with. */
import { setImmediate as turn } from 'node:timers/promises';
import { CurlingError } from '../../common/errors.ts';
import type { RegisterSource } from '../../coordinator/arbitration/backend.ts';
import { newIdentity } from '../../coordinator/arbitration/incarnation.ts';
import {
  applyTransition,
  type Register,
  type SwapRequest,
  type SwapResult,
} from '../../coordinator/arbitration/register.ts';
import {
  type Entry,
  forgottenGeneration,
  isRegister,
} from '../../coordinator/arbitration/register-entry.ts';
import { StoreMemory } from '../../coordinator/arbitration/store-memory.ts';

export class MemoryStore {
  id = newIdentity();
  up = true;
  /** Answers that are lost from now on. */
  answersLost = 0;
  entries = new Map<string, Entry>();

  register(vm: string): Register | null {
    const entry = this.entries.get(vm);
    return entry && isRegister(entry) ? entry : null;
  }

  forget(vm: string): number {
    const generation = this.register(vm)!.generation + 1;
    this.entries.set(vm, { store: this.id, vm, generation, mode: 'FORGOTTEN' });
    return generation;
  }
}

export class MemoryRegister implements RegisterSource {
  readonly counters = { requests: 0, failures: 0, connections: 0, connectFailures: 0 };
  lastError: CurlingError | undefined;
  readonly #store: MemoryStore;
  readonly #memory: StoreMemory;
  #closed = false;

  constructor(store: MemoryStore, id: string | undefined) {
    this.#store = store;
    this.#memory = new StoreMemory('the store in memory', id);
  }

  get connected(): boolean {
    return this.#store.up && !this.#closed;
  }

  storeId(): Promise<string> {
    return this.#ask(() => this.#store.id);
  }

  read(vm: string): Promise<Register | null> {
    const known = this.#memory.generationOf(vm);
    return this.#ask(() => this.#accept(vm, known));
  }

  swap(request: SwapRequest): Promise<SwapResult> {
    const { vm } = request;
    const known = this.#memory.generationOf(vm);
    return this.#ask(() => {
      const register = this.#accept(vm, known);
      const { entries, id } = this.#store;
      const forgotten = forgottenGeneration(entries.get(vm));
      const result = applyTransition(register, request, id, forgotten);
      if (result.swapped && result.register) entries.set(vm, result.register);
      this.#accept(vm, known);
      return result;
    });
  }

  close(): void {
    this.#closed = true;
  }

  #accept(vm: string, known: number): Register | null {
    const register = this.#store.register(vm);
    const forgotten = forgottenGeneration(this.#store.entries.get(vm));
    this.#memory.accept(vm, register, forgotten, known);
    return register;
  }

  async #ask<T>(work: () => T): Promise<T> {
    this.counters.requests++;
    await turn();
    this.#check(this.connected);
    this.#memory.checkStore(this.#store.id);
    const result = work();
    const lost = this.#store.answersLost > 0;
    if (lost) this.#store.answersLost--;
    await turn();
    this.#check(!lost);
    this.lastError = undefined;
    return result;
  }

  #check(there: boolean): void {
    if (there) return;
    this.counters.failures++;
    this.lastError = new CurlingError('CURLING_WITNESS_UNREACHABLE', 'the store does not answer');
    throw this.lastError;
  }
}
