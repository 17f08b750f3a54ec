/**
 * The register in etcd: one key per VM, changed by transactions that compare its revision, never by
 * etcd's locks or leases, which end by a clock. What a request may do is decided here, by
 * applyTransition() on what was read, and etcd swaps it in only if that is still what is there and
 * the store still has its id. So a race is lost by all but one, and a repeated request is refused.
 *
 *   curling/store       the store's id, 32 hex digits, made once by `curling-witness init`
 *   curling/vm/NAME     the register as JSON, or {"store","vm","generation","mode":"FORGOTTEN"}
 *
 * The store's id is read and compared in every transaction. The id of etcd's cluster proves
 * nothing: a server that is started again with an empty data directory has the same one.
 */
import { CurlingError } from '../../common/errors.ts';
import { EtcdClient } from './etcd-client.ts';
import type { TransactionAnswer } from './etcd-messages.ts';
import { type Condition, parseVmValue, STORE_KEY, vmKey } from './etcd-messages.ts';
import type { EtcdConfig } from './etcd-options.ts';
import { newIdentity } from './incarnation.ts';
import {
  applyTransition,
  type Register,
  type RegisterBackend,
  type SwapRequest,
  type SwapResult,
} from './register.ts';
import { type Entry, forgottenGeneration, isRegister } from './register-entry.ts';
import { parseIdentity } from './register-json.ts';
import { StoreMemory } from './store-memory.ts';

export interface EtcdRegisterOptions {
  /** The store id that must be found there; by default whatever is found first. */
  store?: string;
  /** Milliseconds for one request, at whatever endpoints. Default 1,000. */
  requestTimeoutMs?: number;
}

/** What was found at one moment. */
interface View {
  readonly store: string;
  readonly register: Register | null;
  /** The generation in which an absent register was forgotten; 0: never there. */
  readonly forgotten: number;
  /** Of the VM's key; '0' when it is absent. */
  readonly revision: string;
}

export class EtcdRegister implements RegisterBackend {
  readonly #client: EtcdClient;
  readonly #memory: StoreMemory;

  constructor(config: EtcdConfig, options: EtcdRegisterOptions = {}) {
    this.#client = new EtcdClient(config, options.requestTimeoutMs ?? 1_000);
    this.#memory = new StoreMemory(this.#client.name, options.store);
  }

  /** "etcd at URL…" */
  get name(): string {
    return this.#client.name;
  }

  /** Whether the last request was answered. */
  get connected(): boolean {
    return this.#client.connected;
  }

  /** Why the last request failed; undefined since one succeeded. */
  get lastError(): CurlingError | undefined {
    return this.#client.lastError;
  }

  get counters(): EtcdClient['counters'] {
    return this.#client.counters;
  }

  /**
   * @throws CurlingError CURLING_WITNESS_UNREACHABLE, CURLING_WITNESS_EMPTY,
   *   CURLING_WITNESS_STORE, CURLING_REGISTER
   */
  storeId(): Promise<string> {
    return this.#client.ask('query-store', async deadlineMs => {
      const answer = await this.#client.transact({ ranges: [STORE_KEY] }, deadlineMs);
      return this.#storeOf(answer);
    });
  }

  /**
   * @throws CurlingError CURLING_WITNESS_UNREACHABLE, CURLING_WITNESS_EMPTY,
   *   CURLING_WITNESS_STORE, CURLING_REGISTER
   */
  async read(vm: string): Promise<Register | null> {
    return (await this.#view('read', vm)).register;
  }

  /** The generation in which an absent register was forgotten; 0 when it is not forgotten. */
  async forgottenIn(vm: string): Promise<number> {
    return (await this.#view('read', vm)).forgotten;
  }

  /**
   * Asks for a transition. Whether it was granted to the asker is in the register, not in
   * `swapped`: a repeated request is refused although the first one was granted.
   * @throws CurlingError CURLING_WITNESS_UNREACHABLE or CURLING_REGISTER with an unknown outcome,
   *   CURLING_WITNESS_EMPTY, CURLING_WITNESS_STORE
   */
  swap(request: SwapRequest): Promise<SwapResult> {
    const { vm } = request;
    const known = this.#memory.generationOf(vm);
    return this.#client.ask('swap', async deadlineMs => {
      const view = await this.#read(vm, known, deadlineMs);
      const result = applyTransition(view.register, request, view.store, view.forgotten);
      if (!result.swapped || result.register === null) return result;
      const there = await this.#replace(vm, view, result.register, known, deadlineMs);
      return there === null ? result : { swapped: false, register: there.register };
    });
  }

  /**
   * Makes the store's id, once in its life.
   * @returns The id, and whether it was there already.
   * @throws CurlingError CURLING_WITNESS_UNREACHABLE: whether it was made is unknown.
   */
  init(): Promise<{ store: string; existed: boolean }> {
    return this.#client.ask('init', async deadlineMs => {
      const store = newIdentity();
      const answer = await this.#client.transact(
        {
          conditions: [{ key: STORE_KEY, revision: '0' }],
          put: { key: STORE_KEY, value: store },
          ranges: [STORE_KEY],
        },
        deadlineMs,
      );
      return answer.put
        ? { store, existed: false }
        : { store: this.#storeOf(answer), existed: true };
    });
  }

  /**
   * Takes a register away, if it is still that of `generation`. Only for an operator who knows that
   * no guest of this VM runs anywhere: whoever is created next does not know of it.
   * @returns The generation of the forgetting; a new register begins with the next.
   * @throws CurlingError CURLING_REGISTER when there is another register, or none;
   *   CURLING_WITNESS_UNREACHABLE when the outcome is unknown.
   */
  forget(vm: string, generation: number): Promise<number> {
    const known = this.#memory.generationOf(vm);
    return this.#client.ask('forget', async deadlineMs => {
      const view = await this.#read(vm, known, deadlineMs);
      const changed = () => {
        const text = `the register of ${vm} is not that of generation ${generation} any more`;
        return new CurlingError('CURLING_REGISTER', `${text}; nothing was forgotten`);
      };
      const next = generation + 1;
      if (view.register?.generation !== generation || !Number.isSafeInteger(next)) throw changed();
      const forgotten = { store: view.store, vm, generation: next, mode: 'FORGOTTEN' } as const;
      if (await this.#replace(vm, view, forgotten, known, deadlineMs)) throw changed();
      return next;
    });
  }

  /** Ends every request and connection. */
  close(): void {
    this.#client.close();
  }

  #view(what: string, vm: string): Promise<View> {
    const known = this.#memory.generationOf(vm);
    return this.#client.ask(what, deadlineMs => this.#read(vm, known, deadlineMs));
  }

  /** @param known The generation that was known before the question was asked. */
  async #read(vm: string, known: number, deadlineMs: number): Promise<View> {
    const ranges = [STORE_KEY, vmKey(vm)];
    return this.#accept(vm, await this.#client.transact({ ranges }, deadlineMs), known);
  }

  /** Swaps `entry` in for what `view` saw; null when that was done, else what is there instead. */
  async #replace(
    vm: string,
    view: View,
    entry: Entry,
    known: number,
    deadlineMs: number,
  ): Promise<View | null> {
    const key = vmKey(vm);
    const conditions: Condition[] = [
      { key: STORE_KEY, value: view.store },
      { key, revision: view.revision },
    ];
    const put = { key, value: JSON.stringify(entry) };
    const ranges = [STORE_KEY, key];
    const answer = await this.#client.transact({ conditions, put, ranges }, deadlineMs);
    if (!answer.put) return this.#accept(vm, answer, known);
    this.#remember(vm, entry, known);
    return null;
  }

  #accept(vm: string, answer: TransactionAnswer, known: number): View {
    const store = this.#storeOf(answer);
    const found = answer.found[1] ?? null;
    const entry = parseVmValue(vm, found);
    this.#remember(vm, entry, known);
    return {
      store,
      register: entry && isRegister(entry) ? entry : null,
      forgotten: forgottenGeneration(entry),
      revision: found?.revision ?? '0',
    };
  }

  #remember(vm: string, entry: Entry | null, known: number): void {
    if (entry) this.#memory.checkStore(entry.store);
    const register = entry && isRegister(entry) ? entry : null;
    this.#memory.accept(vm, register, forgottenGeneration(entry), known);
  }

  #storeOf({ found: [stored = null] }: TransactionAnswer): string {
    if (stored === null) throw this.#empty();
    const store = parseIdentity(STORE_KEY, stored.value);
    this.#memory.checkStore(store);
    return store;
  }

  #empty(): CurlingError {
    if (this.#memory.store !== undefined)
      return this.#memory.lost(`it has no store, expected ${this.#memory.store}`);
    const text =
      `${this.name} has no store (key ${STORE_KEY}). For a new one: curling-witness init --etcd ` +
      'URL. If it had one before, restore its data: a store without its memory could let two ' +
      'hosts run';
    return new CurlingError('CURLING_WITNESS_EMPTY', text);
  }
}
