/**
 * What a session needs of the connection under it: TCP in transport.ts, a pair in memory in the
 * tests.
 */

export interface Link {
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
