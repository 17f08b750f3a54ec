/**
 * The questions to the register, and what must be true before one is sent: the note about a pair is
 * on disk, and for a grant to run alone a gateway answers. Reads need nothing.
 */
import { asCurlingError, messageOf } from '../common/errors.ts';
import type { Logger } from '../common/log.ts';
import type { StopAt } from '../common/test-stop.ts';
import type { RegisterSource } from './arbitration/backend.ts';
import type { HostEvent } from './arbitration/host-events.ts';
import type { HostState } from './arbitration/host-state.ts';
import type { SwapRequest } from './arbitration/register.ts';
import type { Trouble } from './explanation.ts';
import type { Gateway } from './gateway-probe.ts';
import type { IdentityFile } from './identity.ts';

export interface DecisionModules {
  log: Logger;
  witness: RegisterSource;
  identity: IdentityFile;
  gateway: Gateway | undefined;
  stopAt: StopAt;
  state(): HostState;
  dispatch(event: HostEvent): void;
  /** Something stands in the way of a decision; null: no longer. */
  trouble(trouble: Trouble, text: string | null): void;
  /** A question was not sent or not answered, and has to be asked again while it is of use. */
  again(): void;
}

export class Decisions {
  readonly #modules: DecisionModules;
  #asking = 0;
  /** It was said once that the store lost its memory; it is asked often. */
  #storeLost = false;

  constructor(modules: DecisionModules) {
    this.#modules = modules;
    modules.gateway?.on('change', reachable => {
      if (reachable) modules.trouble('gateway', null);
      if (reachable && this.#wantsGrant) this.retry();
    });
  }

  /** Has the question repeated, unless one waits for its answer, or nobody outside would hear who is granted it. */
  retry(): void {
    if (this.#asking > 0) return;
    if (this.#wantsGrant && !this.#heardOutside()) return this.read();
    this.#modules.dispatch({ type: 'retry' });
  }

  /** Asks for a transition; the answer is dispatched. */
  swap(request: SwapRequest): void {
    const { identity, witness, dispatch, state, stopAt } = this.#modules;
    if (request.transition === 'pair')
      identity.setUnresolvedPair({ request, snapshot: state().snapshot });
    else if (!this.#heardOutside()) return this.read();
    this.#asking++;
    const answered = witness.swap(request).finally(() => this.#asking--);
    this.#ask(answered, answer => {
      dispatch({ type: 'swap-answered', request, register: answer.register });
    });
    if (request.transition === 'solo-by-backup') setImmediate(stopAt, 'solo-sent');
    if (request.transition === 'pair') setImmediate(stopAt, 'pair-sent');
  }

  read(): void {
    const { witness, state, dispatch } = this.#modules;
    this.#ask(witness.read(state().vm), register => dispatch({ type: 'register-read', register }));
  }

  get #wantsGrant(): boolean {
    return ['PRES', 'FROZ'].includes(this.#modules.state().name);
  }

  /** A host that reaches no gateway would not be heard, and leaves the machine to the other one. */
  #heardOutside(): boolean {
    const { gateway, trouble, again } = this.#modules;
    if (!gateway || gateway.reachable) {
      trouble('gateway', null);
      return true;
    }
    gateway.probe();
    trouble('gateway', `${gateway.text}; nothing is asked for`);
    again();
    return false;
  }

  #ask<T>(question: Promise<T>, answered: (answer: T) => void): void {
    const { trouble, log, again } = this.#modules;
    question.then(
      answer => {
        this.#storeLost = false;
        trouble('witness', null);
        answered(answer);
      },
      error => {
        const { code } = asCurlingError(error);
        trouble('witness', messageOf(error));
        const lost = code === 'CURLING_WITNESS_STORE';
        if (lost && !this.#storeLost) log.fatal({ code }, messageOf(error));
        this.#storeLost = lost;
        again();
      },
    );
  }
}
