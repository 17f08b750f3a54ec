/** What can happen to a simulated host by itself, besides messages. */
import type { HostStateName } from '../../../coordinator/arbitration/host-state.ts';

export type Operation =
  | 'run'
  | 'emit'
  | 'checkpoint'
  | 'full'
  | 'commit'
  | 'suspect'
  | 'give-up'
  | 'open'
  | 'protect'
  | 'retry'
  | 'hello'
  | 'doubt'
  | 'resume'
  | 'stopped'
  | 'guest-lost'
  | 'crash'
  | 'restart';

/** Done only now and then, at a rate that each seed draws. */
export const RARE: readonly Operation[] = ['doubt', 'guest-lost', 'crash', 'restart'];
/** What may happen to a host in each state; more often what is named more often. */
export const OPERATIONS: Readonly<Record<HostStateName, readonly Operation[]>> = {
  PROT: ['run', 'run', 'emit', 'emit', 'emit', 'checkpoint', 'checkpoint', 'suspect', ...RARE],
  PRES: ['run', 'emit', 'emit', 'retry', ...RARE],
  SOLO: ['run', 'emit', 'emit', 'protect', 'resume', 'retry', 'open', ...RARE],
  SYNC: ['run', 'emit', 'full', 'full', 'suspect', 'give-up', ...RARE],
  SRES: ['run', 'emit', 'checkpoint', 'retry', 'suspect', 'give-up', ...RARE],
  BACK: ['commit', 'commit', 'commit', 'suspect', ...RARE],
  FROZ: ['retry', 'retry', 'hello', 'commit', ...RARE],
  HALT: ['stopped', 'retry'],
  JOIN: ['commit', 'commit', ...RARE],
};
