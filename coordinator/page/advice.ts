/**
 * What a headline means and what to do, in the words of the table in docs/operations.md, with its Markdown; a test keeps
 * them equal.
 */
import { headline } from '../headline.ts';
import type { CoordinatorStatus } from '../status.ts';

export interface Advice {
  means: string;
  /** Empty when there is nothing to do. */
  todo: string;
}

/** By headline and state of arbitration. */
export const ADVICE: Readonly<Record<string, Advice>> = {
  'PROTECTED PROT': { means: 'all is well', todo: '' },
  'STANDING BY BACK': { means: 'this host holds a copy', todo: '' },
  'HELD SOLO': {
    means: 'the guest runs here alone and is not heard: policy `hold`',
    todo: 'start or repair the backup, or free the output with `curlingctl unprotect`: [without a backup](#without-a-backup)',
  },
  'NOT RUNNING SOLO': {
    means:
      'this host owns the machine, and the standby refused the checkpoint: the guest runs nowhere',
    todo: 'read `qemu.log` in the run directory; no older checkpoint is tried: [when something is lost](#when-something-is-lost)',
  },
  'UNPROTECTED SOLO': {
    means: 'the guest runs here alone, its output is free. The reason says why there is no backup',
    todo: 'start or repair the backup; look at its status and log',
  },
  'UNPROTECTED SYNC': {
    means: 'a full copy is on its way, output is held',
    todo: 'wait; seconds',
  },
  'UNPROTECTED SRES': {
    means: 'waits for the witness to register the pair; output is held',
    todo: 'if it lasts: the witness',
  },
  'UNDECIDED PRES': {
    means: 'lost its backup, waits for the grant to run alone; output is held',
    todo: 'if it lasts: the witness',
  },
  'UNDECIDED FROZ': {
    means: 'lost its primary, waits for the grant to take over',
    todo: 'if it lasts: the witness',
  },
  'FENCED HALT': {
    means: 'another host owns the machine, or its QEMU is gone; the guest here is being ended',
    todo: 'if it lasts, its QEMU does not end: end it by hand',
  },
  'EMPTY JOIN': {
    means: 'waits for a primary',
    todo:
      'nothing, on a host that is to be a backup. The reason names the last refusal, and which host the register gives ' +
      'the machine to: if that host is dead, [stopped safely](#stopped-safely-how-to-go-on)',
  },
};

/** @returns undefined for a state that this version does not know */
export function adviceFor(status: CoordinatorStatus): Advice | undefined {
  return ADVICE[`${headline(status).word} ${status.state}`];
}
