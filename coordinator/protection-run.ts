/**
 * What the primary needs of a protection, whatever its checkpoints come from: Protection (COLO) and CurlingProtection. Their
 * phases are drawn in protection.ts.
 */
import type { StopPoint } from '../common/test-stop.ts';
import type { CheckpointDone } from './checkpoint-hints.ts';
import type { ProtectionFigures } from './protection.ts';
import type { WorkCounters } from './telemetry.ts';

export interface ProtectionRun {
  readonly phase: 'copying' | 'held' | 'waiting' | 'active' | 'ended';
  readonly figures: ProtectionFigures;
  /** The newest epoch that may have been sealed or committed: not that of a copy which was given up half way. */
  readonly takenEpoch: number;
  readonly inFlight: number;
  readonly work: WorkCounters;
  readonly stagingMemory: { bytes: number; peakBytes: number; boundBytes: number };
  /** Starts the full copy. @throws CurlingError; end() is still needed then. */
  start(): Promise<void>;
  /** Output is held from here on. Only after handler snapshot. */
  begin(): void;
  /** The pair stands. */
  activate(): void;
  outputPending(epoch: number): void;
  /** Returns when a checkpoint that has not begun yet is committed. @throws CurlingError as CheckpointHints.wait */
  checkpoint(timeoutMs: number): Promise<CheckpointDone>;
  windowOpen(): void;
  /** The peer has committed everything up to `epoch`; returns the newest epoch whose output that covers. */
  committed(epoch: number): number;
  pass(point: StopPoint): void;
  end(): Promise<void>;
}
