/** The witness: a process in front of a register that survives it. */
import type {
  applyTransition,
  Register,
  SwapRequest,
  SwapResult,
} from '../../coordinator/arbitration/register.ts';
import type { Network } from './network.ts';
import type { SimProcess } from './process.ts';

export const VM = 'vm';
export const STORE = 'f'.repeat(32);
/** How long a client waits for an answer. */
const REQUEST_MS = 1_000;

export interface WitnessHooks {
  changed(register: Register, request: SwapRequest): void;
  refused(request: SwapRequest): void;
}

export class SimWitness {
  readonly node: number;
  process: SimProcess;
  register: Register | null = null;
  readonly #network: Network;
  readonly #apply: typeof applyTransition;
  readonly #hooks: WitnessHooks;

  constructor(
    node: number,
    process: SimProcess,
    network: Network,
    apply: typeof applyTransition,
    hooks: WitnessHooks,
  ) {
    this.node = node;
    this.process = process;
    this.#network = network;
    this.#apply = apply;
    this.#hooks = hooks;
  }

  /**
   * Asks from `client` on host `from`: reads, or swaps. Exactly one of `answered` and `failed` is called; a request that
   * failed may still be carried out, or have been.
   */
  ask(
    client: SimProcess,
    from: number,
    request: SwapRequest | null,
    answered: (result: SwapResult) => void,
    failed: () => void,
  ): void {
    let open = true;
    const timer = client.timer(REQUEST_MS, () => {
      if (!open) return;
      open = false;
      failed();
    });
    const answer = (deliver: () => void) =>
      this.#network.message(this.node, from, () =>
        client.read(() => {
          if (!open) return;
          open = false;
          client.clear(timer);
          deliver();
        }),
      );
    // TCP delivers a question once. Whoever asks twice knows that; a backup that did not relies on it.
    const once = request?.transition === 'solo-by-backup';
    const ask = (arrive: () => void) => this.#network.message(from, this.node, arrive, once);
    client.effect(() =>
      ask(() => {
        const { process } = this;
        if (!process.alive) return answer(failed);
        process.read(() => {
          const result = this.#serve(request);
          process.effect(() => answer(() => answered(result)));
        });
      }),
    );
  }

  #serve(request: SwapRequest | null): SwapResult {
    if (!request) return { swapped: false, register: this.register };
    const result = this.#apply(this.register, request, STORE);
    if (result.swapped && result.register) {
      this.register = result.register;
      this.#hooks.changed(result.register, request);
    } else this.#hooks.refused(request);
    return result;
  }
}
