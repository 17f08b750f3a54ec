/**
 * Sabotaged builds. Each breaks one rule in one place; the exploration must find every one of them.
 * Where the real programs have the same defect as a switch (coordinator/sabotage.ts), it is the
 * same code.
 */
import type { Sabotage } from '../../../coordinator/sabotage.ts';
import { sabotagedReducer } from '../../../coordinator/sabotage-reducer.ts';
import { sabotagedTransition } from '../../../coordinator/sabotage-register.ts';
import type { Mutation } from './mutation.ts';

function sabotaged(sabotage: Sabotage): Mutation {
  return {
    reduce: () => sabotagedReducer(sabotage),
    apply: () => sabotagedTransition(sabotage),
  };
}

export const MUTANTS = {
  'releases before the ack': { emitsUnacked: true },
  'acks before the commit': { ackOnArrival: true },
  'promotes without a grant': sabotaged('promote-without-grant'),
  'goes solo without a grant': sabotaged('solo-without-grant'),
  'keeps emitting during re-protection': {
    reduce: base => (state, event, incarnation) => {
      const step = base(state, event, incarnation);
      return { ...step, actions: step.actions.filter(action => action.type !== 'hold') };
    },
  },
  'grants go to the host, not to its incarnation': sabotaged('grant-to-host'),
  "ignores the backup's incarnation": sabotaged('ignores-backup-incarnation'),
  'answers as the backup that it was before it lost its state': { keepsLife: true },
  'emits the last committed epoch again': { reEmitsLast: true },
  'gives up after it asked for the pair': sabotaged('gives-up-after-pair'),
  'counts the acks of any incarnation': sabotaged('ack-of-any-incarnation'),
  'forgets in a restart that it asked for a pair': { forgetsPair: true },
  'keeps a copy that was never paired': {
    reduce: base => (state, event, incarnation) => {
      const older =
        event.type === 'swap-answered' && (event.register?.generation ?? 0) < state.generation;
      if (state.name === 'FROZ' && (older || event.type === 'never-paired'))
        return { state, actions: [] };
      return base(state, event, incarnation);
    },
  },
  'opens under policy hold': {
    reduce: base => (state, event, incarnation) => {
      const step = base(state, event, incarnation);
      const actions = step.actions.map(action =>
        action.type === 'end-protection' ? { type: 'open' as const } : action,
      );
      return { ...step, actions };
    },
  },
  'lets go of what was held when the copy is taken': {
    reduce: base => (state, event, incarnation) => {
      const step = base(state, event, incarnation);
      if (event.type !== 'protect-requested') return step;
      return { ...step, actions: [...step.actions, { type: 'release', epoch: event.snapshot }] };
    },
  },
  'lets a swap of any generation pass': sabotaged('ignores-generation'),
} as const satisfies Readonly<Record<string, Mutation>>;

export type Mutant = keyof typeof MUTANTS;
