/** Where a simulated build can be sabotaged; mutants.ts has the list. */
import type { Reducer } from '../../../coordinator/arbitration/host.ts';
import type { applyTransition } from '../../../coordinator/arbitration/register.ts';

/** Sabotage, each in one place; see mutants.ts. */
export interface Mutation {
  reduce?: (base: Reducer) => Reducer;
  apply?: (base: typeof applyTransition) => typeof applyTransition;
  ackOnArrival?: boolean;
  emitsUnacked?: boolean;
  reEmitsLast?: boolean;
  forgetsPair?: boolean;
  /** A host that crashed comes back empty and in the same incarnation. */
  keepsLife?: boolean;
}
