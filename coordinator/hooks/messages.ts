/** What the coordinator and its runner of hooks say to each other: one JSON object on one line of a pipe. */
import type { JsonObject } from '../../common/qmp/messages.ts';

/** To the runner: an event has happened. It answers with one `done`, after any number of the others. */
export interface HookEvent {
  /** ISO 8601. */
  time: string;
  event: string;
  data: JsonObject;
}

/** How one hook ended. */
export interface HookResult {
  type: 'result';
  hook: string;
  /** Undefined: it ended with status 0. */
  fault?: string;
  /** Whether it was ended at the bound of its time. */
  timedOut: boolean;
  elapsedMs: number;
  /** The first bytes of what it wrote to standard output and standard error, as they came. */
  output: string;
  /** Bytes of output beyond those. */
  cutBytes: number;
}

export type RunnerMessage =
  /** A file that was not run, and why; once for each. */
  | { type: 'skipped'; text: string }
  | HookResult
  /** All hooks have seen the event. */
  | { type: 'done' };

/** A reason of others in an event, and 4 KiB of output that takes six bytes a character, fit well. */
export const LINE_BYTES_MAX = 256 << 10;
