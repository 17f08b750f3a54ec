/** The one word for a machine on a host. Pure; docs/operations.md says of each what it means and what to do. */
import type { CoordinatorStatus } from './status.ts';

export type HeadlineWord =
  | 'PROTECTED'
  | 'STANDING BY'
  | 'HELD'
  | 'UNPROTECTED'
  | 'NOT RUNNING'
  | 'UNDECIDED'
  | 'FENCED'
  | 'EMPTY';

export interface Headline {
  word: HeadlineWord;
  /** For sorting, worst first: from 0, somebody should look now, to 3, all is well. */
  rank: 0 | 1 | 2 | 3;
}

export function headline(status: CoordinatorStatus): Headline {
  if (status.protected) return { word: 'PROTECTED', rank: 3 };
  switch (status.state) {
    case 'SOLO':
      if (status.running && status.held) return { word: 'HELD', rank: 0 };
      return status.running ? { word: 'UNPROTECTED', rank: 1 } : { word: 'NOT RUNNING', rank: 0 };
    case 'HALT':
      return { word: 'FENCED', rank: 0 };
    case 'PRES':
    case 'FROZ':
      return { word: 'UNDECIDED', rank: 0 };
    case 'BACK':
      return { word: 'STANDING BY', rank: 3 };
    case 'JOIN':
      return { word: 'EMPTY', rank: 2 };
    default:
      return { word: 'UNPROTECTED', rank: 1 };
  }
}
