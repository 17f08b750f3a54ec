/** What the main thread and the thread of a machine say to each other, and what a thread is started with. */
import type { CommandLine } from '../../common/options.ts';

export interface ThreadData {
  vm: string;
  /** Of the process. */
  line: CommandLine;
  /** Of all threads of the process, and this machine's slot in it (replication/link-share.ts). */
  link: { memory: SharedArrayBuffer; slot: number };
  /** Why the thread before this one ended by itself, and how many have; undefined for the first. */
  fault: { reason: string; restarts: number } | undefined;
}

/** To a machine's thread. */
export type ToThread =
  | { type: 'reload' }
  | { type: 'end' }
  | { type: 'ask'; id: number; what: 'metrics' | 'document' }
  /** The answer to `gateways`: what shared-gateway.ts reads, or why there is none. */
  | { type: 'gateways'; shared: SharedArrayBuffer }
  | { type: 'gateways'; code: string; text: string };

/** From a machine's thread. */
export type FromThread =
  /** It serves; its page and metrics are on this unix socket. */
  | { type: 'serving'; httpPath: string }
  /** Once a second. */
  | { type: 'beat'; summary: string; progress: boolean }
  /** Its last words. `lasting`: it fails again until somebody changes something. */
  | { type: 'failed'; code: string; text: string; lasting: boolean }
  | { type: 'answer'; id: number; value: unknown }
  | { type: 'answer'; id: number; error: string }
  /** It wants these asked all the time. */
  | { type: 'gateways'; addresses: readonly string[] }
  /** It wants them asked now. */
  | { type: 'probe' };

/** Between two beats of a thread. */
export const BEAT_MS = 1_000;
