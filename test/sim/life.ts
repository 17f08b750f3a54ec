/** What the parts of one simulated coordinator share. */
import type { HostEvent } from '../../coordinator/arbitration/host-events.ts';
import type { HostState } from '../../coordinator/arbitration/host-state.ts';
import type { SwapRequest } from '../../coordinator/arbitration/register.ts';
import type { SimGate } from './gate.ts';
import type { SimHost } from './host.ts';
import type { SimProcess } from './process.ts';
import type { Simulation } from './simulation.ts';

/** As the production has them: coordinator.ts, primary.ts, backup.ts, proxy-client.ts, config.ts. */
export const TIMES = {
  retryMs: 100,
  resumeRetryMs: 1_000,
  doubtMs: 2_000,
  seekMs: 500,
  patienceMs: 100,
  farewellMs: 500,
  copySilenceMs: 60_000,
  reconnectMs: 200,
  sealTimeoutMs: 1_000,
  commandTimeoutMs: 10_000,
  dialTimeoutMs: 10_000,
  handshakeMs: 5_000,
  beatMs: 50,
  /** The smallest detection time that goes with that beat: runs are short then. */
  silenceMs: 200,
} as const;

/** What a coordinator writes down in its run directory. */
export interface Identity {
  incarnation: string;
  /** Whether the QEMU that runs on this host is this incarnation's guest. */
  guest: object | null;
  unresolvedPair: { request: SwapRequest; snapshot: number } | null;
}

export interface Life {
  readonly sim: Simulation;
  readonly host: SimHost;
  readonly process: SimProcess;
  readonly gate: SimGate;
  state(): HostState;
  dispatch(event: HostEvent): void;
}
