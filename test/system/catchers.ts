/**
 * Who catches each sabotage: the observer, in a run with a real guest (sabotage.test.ts), or the exploration of the
 * arbitration (test/arbitration), where no real run brings the defect to light every time. None is without a catcher: the
 * type says so.
 */
import type { Sabotage } from '../../coordinator/sabotage.ts';
import type { Mutant } from '../arbitration/sim/mutants.ts';
import {
  killedAt,
  killedBeside,
  linkBroken,
  pairInDoubt,
  type SabotagedRun,
  witnessRestarted,
} from './sabotaged-runs.ts';

export const CATCHERS: Readonly<
  Record<Sabotage, { observer: SabotagedRun } | { exploration: Mutant }>
> = {
  'release-before-ack': { observer: killedAt('resumed') },
  'seal-after-loaded': { observer: killedAt('released') },
  'ack-before-commit': { observer: killedBeside },
  'promote-without-grant': { observer: linkBroken('b') },
  'solo-without-grant': { observer: linkBroken('a') },
  'gateway-decides': { observer: linkBroken('a', 'b') },
  // In the first epoch nothing is committed but the copy, and what was said behind it is still free.
  'emits-during-reprotection': { observer: killedAt('first-epoch', 1) },
  'gives-up-after-pair': { observer: pairInDoubt },
  'witness-forgets': { observer: witnessRestarted },
  'empty-backup-answers': {
    exploration: 'answers as the backup that it was before it lost its state',
  },
  'ack-of-any-incarnation': { exploration: 'counts the acks of any incarnation' },
  'grant-to-host': { exploration: 'grants go to the host, not to its incarnation' },
  'ignores-backup-incarnation': { exploration: "ignores the backup's incarnation" },
  'ignores-generation': { exploration: 'lets a swap of any generation pass' },
};
