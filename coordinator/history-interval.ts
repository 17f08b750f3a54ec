/** What is known of one interval of the history, while it lasts and when it ends. Pure. */

import { Distribution } from '../common/distribution.ts';
import type { HostStateName } from './arbitration/host-state.ts';

/** The states of arbitration, the ones that need nobody first: of several in one interval the last of these is told. */
export const STATES_BY_CONCERN = [
  ...(['PROT', 'BACK', 'JOIN', 'SRES', 'SYNC', 'SOLO', 'PRES', 'FROZ', 'HALT'] as const),
] satisfies HostStateName[];

/**
 * What the history has of every interval, by name. Durations are milliseconds; null where nothing was recorded.
 *
 * | column                             | of one interval                                                           |
 * |------------------------------------|---------------------------------------------------------------------------|
 * | `pauseP50` `pauseP99` `pauseMax`   | the guest was stopped for a checkpoint                                    |
 * | `delayP50` `delayP99` `delayMax`   | the first frame of an epoch waited for its release                        |
 * | `commitP50`                        | from a staged checkpoint to the backup's acknowledgement                  |
 * | `epochs`                           | checkpoints that the backup has committed                                 |
 * | `checkpointBytes`                  | bytes of all checkpoints that were staged                                 |
 * | `dirtyPages`                       | pages in them                                                             |
 * | `sentBytes`                        | bytes of committed checkpoints as they were sent, packed or not           |
 * | `lag`                              | the most checkpoints that were staged and not committed at once           |
 * | `heldBytes`                        | the most bytes that were seen held in the proxy                           |
 * | `state`                            | index into `states`: the one that is most of a concern                    |
 */
export const HISTORY_COLUMNS = [
  ...(['pauseP50', 'pauseP99', 'pauseMax', 'delayP50', 'delayP99', 'delayMax'] as const),
  ...(['commitP50', 'epochs', 'checkpointBytes', 'dirtyPages', 'sentBytes'] as const),
  ...(['lag', 'heldBytes', 'state'] as const),
] as const;
export type HistoryColumn = (typeof HISTORY_COLUMNS)[number];

/** Nothing was recorded. */
const NONE = Number.NaN;

export class Interval {
  readonly pause = new Distribution();
  readonly delay = new Distribution();
  readonly commit = new Distribution();
  checkpointBytes = 0;
  dirtyPages = 0;
  sentBytes = 0;
  lag = NONE;
  heldBytes = NONE;
  state: number;

  /** @param state Index into STATES_BY_CONCERN. */
  constructor(state: number) {
    this.state = state;
  }

  sawLag(epochs: number): void {
    if (!(this.lag >= epochs)) this.lag = epochs;
  }

  sawHeld(bytes: number): void {
    if (!(this.heldBytes >= bytes)) this.heldBytes = bytes;
  }

  /** Adds what a shorter interval has, which lies in this one. */
  add(part: Interval): void {
    this.pause.add(part.pause);
    this.delay.add(part.delay);
    this.commit.add(part.commit);
    this.checkpointBytes += part.checkpointBytes;
    this.dirtyPages += part.dirtyPages;
    this.sentBytes += part.sentBytes;
    this.sawLag(part.lag);
    this.sawHeld(part.heldBytes);
    this.state = Math.max(this.state, part.state);
  }

  /** Begins anew, in `state`. */
  clear(state: number): void {
    this.pause.clear();
    this.delay.clear();
    this.commit.clear();
    this.checkpointBytes = 0;
    this.dirtyPages = 0;
    this.sentBytes = 0;
    this.lag = NONE;
    this.heldBytes = NONE;
    this.state = state;
  }

  /** The values of all columns; NaN where nothing was recorded. */
  row(): Record<HistoryColumn, number> {
    const { pause, delay, commit } = this;
    return {
      pauseP50: percentile(pause, 0.5),
      pauseP99: percentile(pause, 0.99),
      pauseMax: percentile(pause, 1),
      delayP50: percentile(delay, 0.5),
      delayP99: percentile(delay, 0.99),
      delayMax: percentile(delay, 1),
      commitP50: percentile(commit, 0.5),
      epochs: commit.count,
      checkpointBytes: this.checkpointBytes,
      dirtyPages: this.dirtyPages,
      sentBytes: this.sentBytes,
      lag: this.lag,
      heldBytes: this.heldBytes,
      state: this.state,
    };
  }
}

function percentile(distribution: Distribution, share: number): number {
  if (distribution.count === 0) return NONE;
  return share === 1 ? distribution.maxMs : distribution.percentile(share);
}
