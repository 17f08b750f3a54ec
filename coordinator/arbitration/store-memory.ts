/**
 * What a client remembers of a store, to notice that the store forgot: its id, and the newest
 * generation that it told of each VM. Pure.
 *
 * Invariant: the id never changes once it is known, and no generation ever falls.
 */
import { CurlingError } from '../../common/errors.ts';
import type { Register } from './register.ts';

export class StoreMemory {
  readonly #name: string;
  readonly #generations = new Map<string, number>();
  #store: string | undefined;

  /**
   * @param name Who keeps the store, for messages: "the witness at 192.0.2.9:7700".
   * @param store The id that must be found; undefined takes the first one seen.
   */
  constructor(name: string, store: string | undefined) {
    this.#name = name;
    this.#store = store;
  }

  /** The id that must be found; undefined while none is known. */
  get store(): string | undefined {
    return this.#store;
  }

  /** The newest generation that was told of `vm`; 0 when there was none. */
  generationOf(vm: string): number {
    return this.#generations.get(vm) ?? 0;
  }

  /** @throws CurlingError CURLING_WITNESS_STORE when it is another store than before. */
  checkStore(found: string): void {
    this.#store ??= found;
    if (found !== this.#store) throw this.lost(`its store is ${found}, expected ${this.#store}`);
  }

  /**
   * Takes what the store says of `vm`.
   * @param forgotten The generation in which an absent register was forgotten; 0: never there.
   * @param known The generation that was known before the question was asked.
   * @throws CurlingError CURLING_REGISTER for the register of another VM, CURLING_WITNESS_STORE
   *   when it is of another store or older than what was known.
   */
  accept(vm: string, register: Register | null, forgotten: number, known: number): void {
    if (register && register.vm !== vm)
      throw new CurlingError(
        'CURLING_REGISTER',
        `asked for ${vm}, the answer is of ${register.vm}`,
      );
    if (register) this.checkStore(register.store);
    const generation = register?.generation ?? forgotten;
    if (generation < known)
      throw this.lost(`it is at generation ${generation} of ${vm}, which was at ${known} before`);
    this.#generations.set(vm, Math.max(generation, this.generationOf(vm)));
  }

  /** The error of a store that forgot, which shows by `what`. */
  lost(what: string): CurlingError {
    const text =
      `${this.#name} lost its memory: ${what}. ` +
      'Restore its store; nothing is decided with this one';
    return new CurlingError('CURLING_WITNESS_STORE', text);
  }
}
