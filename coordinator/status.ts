/** The status document of a coordinator: what `query-status` answers and `curlingctl status --json` prints. */
import type { HookCounters } from './hooks/hooks.ts';
import type { Unprotected } from './unprotected.ts';

/** Percentiles of a duration, milliseconds; `count` samples since the last protection began. */
export interface Durations {
  count: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

/** One failover, as the host that took over saw it. */
export interface FailoverRecord {
  vm: string;
  from: string;
  to: string;
  generation: number;
  /** The checkpoint that the guest resumed from. */
  epoch: number;
  /** What raised the suspicion, in words. */
  reason: string;
  /** Wall clock, ISO 8601, of the suspicion. */
  at: string;
  /** Milliseconds from the last sign of life to the suspicion. */
  silentMs: number;
  /** Milliseconds from the suspicion to the grant. */
  decisionMs: number;
  /** Milliseconds from the grant to a running guest. */
  resumeMs: number;
}

/** The newest drill of a backup: whether a failover would have worked. */
export interface DrillRecord {
  /** Wall clock, ISO 8601, of its begin. */
  at: string;
  ok: boolean;
  /** The checkpoint that was loaded, or tried; null when it did not come to that. */
  epoch: number | null;
  /** Milliseconds in which it was loaded; null when it was not. */
  loadMs: number | null;
  /** Milliseconds for which a commit waited for it at most; null when it was not loaded. */
  delayMsMax: number | null;
  /** Of the error: CURLING_DRILL when the drill gave no answer. Null when it went well. */
  code: string | null;
  reason: string;
}

/** Whether a backup could run the guest. */
export interface StandbyStatus {
  up: boolean;
  /** Why not; null while it is up, or being started for a new copy. */
  reason: string | null;
}

export interface CoordinatorStatus {
  vm: string;
  host: string;
  /** The state of arbitration: PROT, PRES, SOLO, SYNC, SRES, BACK, FROZ, HALT, JOIN. */
  state: string;
  /** Whether this host runs the guest and a backup holds a committed checkpoint of it. */
  protected: boolean;
  /** Whether the guest executes on this host: false also for an owner that could not resume it. */
  running: boolean;
  /** Where the guest runs, as far as this host knows. */
  role: 'primary' | 'backup' | 'none';
  generation: number;
  incarnation: string;
  /** The other host of the pair. */
  peer: string | null;
  /** Why it is as it is, for a reader: "waiting for a backup", "output is held: waiting for the witness". */
  reason: string;
  since: string;
  epoch: { taken: number; committed: number; released: number };
  checkpoint: {
    mode: 'output' | 'fixed';
    pauseMs: Durations;
    commitMs: Durations;
    bytesP50: number;
    bytesTotal: number;
    inFlight: number;
    guestWaits: number;
    windowClosed: number;
    /** Staging memory here: reserved now, the most in use at once in this protection, its bound. 0 without one. */
    staging: { bytes: number; peakBytes: number; boundBytes: number };
    /** The policy `--pack`, and how the newest committed checkpoint was sent. */
    packing: {
      policy: 'auto' | 'never' | 'always';
      /** `plain`, `filter` or `pack`; null before a checkpoint. */
      effort: string | null;
      /** Bytes of all committed checkpoints as they were sent, since this process started. */
      sentBytesTotal: number;
    };
  };
  /**
   * Milliseconds from the first frame of an epoch to its release, since this process started: what protection adds to
   * what the guest says.
   */
  outputDelayMs: Durations;
  /** Wall clock, ISO 8601, of the newest commit by a backup; null before one. */
  lastCommitAt: string | null;
  proxy: {
    connected: boolean;
    state: string;
    /** The guest's taps, and the bridge of the first. */
    taps: string[];
    bridge: string;
    heldFrames: number;
    heldBytes: number;
    bytesMax: number;
    /** Frames of the guest that found no room or could not be read or sent, since the proxy started. */
    framesLost: number;
  };
  /**
   * Milliseconds from the commit of the full copy that this host received last until a spare QEMU had loaded it and the
   * standby was up; null when there was none. The primary's output is held meanwhile.
   */
  trialMs: number | null;
  /** The standby QEMU of the pair: on the primary what its backup says. Null without a pair. */
  standby: StandbyStatus | null;
  /** The newest drill on this host since its coordinator started. */
  drill: DrillRecord | null;
  peerRttMs: number | null;
  witness: { reachable: boolean; store: string | null };
  /** Since when and why no other host has the guest's state; null when one has, or no guest runs here. */
  unprotected: Unprotected | null;
  /** The policy `--on-backup-loss`, and whether it keeps the output of this host held now. */
  onBackupLoss: 'continue' | 'hold';
  held: boolean;
  /** What --gateway names, and whether one of them answered within the last second; null without. */
  gateway: { addresses: readonly string[]; reachable: boolean } | null;
  failovers: FailoverRecord[];
  /** What came of the operator's hooks since this process started. */
  hooks: HookCounters;
  warnings: string[];
}
