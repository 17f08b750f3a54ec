/**
 * What a session needs of the connection under it: TCP in transport.ts, a pair in memory in the
 * tests.
 */

/**
 * What a primary sends: `none` before it is admitted, `idle` between checkpoints, `full` a full copy, `epoch` the checkpoint
 * of an epoch.
 */
export type Traffic = 'none' | 'idle' | 'full' | 'epoch';

export interface Link {
  /** What follows, for who shares the way to the backup with others; said anew for each checkpoint. */
  traffic?(kind: Traffic): void;
  /**
   * Sends these buffers in order. They must not change until `sent` is called, which happens
   * exactly once, after they have left or when the link is gone.
   */
  write(buffers: readonly Buffer[], sent?: () => void): void;
  /** Ends the connection after what was written; the session hears no more. */
  end(): void;
  /** Ends the connection at once. */
  destroy(): void;
  /** The session takes no bytes until `resume`. Bytes that come in spite of it are kept. */
  pause(): void;
  resume(): void;
}
