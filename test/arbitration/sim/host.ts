/**
 * A simulated host: the shell around one arbitration state machine, with guest, proxy and
 * checkpoint store as numbers.
 */
import type { BackupLossPolicy, HostState } from '../../../coordinator/arbitration/host-state.ts';
import type { Owner, Register, SwapRequest } from '../../../coordinator/arbitration/register.ts';

/** A checkpoint on its way or received but not committed. */
export interface Copy {
  full: boolean;
  generation: number;
  epoch: number;
  from: Owner;
  to: string;
  versions: readonly number[];
}

export type Message =
  | { kind: 'copy'; to: number; copy: Copy }
  | { kind: 'ack'; to: number; generation: number; epoch: number; from: Owner }
  | { kind: 'swap'; from: number; incarnation: string; request: SwapRequest }
  | { kind: 'read'; from: number; incarnation: string }
  | {
      kind: 'answer';
      to: number;
      incarnation: string;
      request: SwapRequest | null;
      register: Register | null;
    };

export class SimHost {
  readonly index: number;
  readonly name: string;
  /** Null: dead, nothing is left. */
  state: HostState | null = null;
  /** While its coordinator restarts: what it read of the register. Guest and proxy go on. */
  restarting: { register: Register | null } | null = null;
  /** The newest epoch that the guest executed, and who executed each. */
  epoch = 0;
  versions: number[] = [];
  guestRuns = false;
  /** The newest epoch that left. */
  emitted = 0;
  /** The proxy: output passes freely, or up to an epoch. */
  open = false;
  limit = 0;
  /** The newest committed checkpoint, and one that is staged. */
  stored: { epoch: number; versions: readonly number[] } | null = null;
  staged: Copy | null = null;
  /** Resumed, but not yet known to run. */
  resuming = false;
  /** The last `pair` asked for, written down before it was sent. */
  pairJournal: { request: SwapRequest; snapshot: number } | null = null;

  /** Its incarnation before it crashed, where a mutation keeps that. */
  formerLife: string | null = null;

  readonly onBackupLoss: BackupLossPolicy;

  constructor(index: number, onBackupLoss: BackupLossPolicy) {
    this.index = index;
    this.onBackupLoss = onBackupLoss;
    this.name = 'ABC'[index] as string;
  }

  /** Forgets everything but its name. */
  clear(): void {
    this.restarting = null;
    this.epoch = 0;
    this.versions = [];
    this.guestRuns = false;
    this.emitted = 0;
    this.open = false;
    this.limit = 0;
    this.stored = null;
    this.staged = null;
    this.resuming = false;
    this.pairJournal = null;
  }

  /** One more epoch of the guest, with a version of its own. */
  execute(version: number): void {
    this.epoch++;
    this.versions[this.epoch] = version;
  }
}
