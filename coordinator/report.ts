/** Makes the status document of a coordinator. */
import type { Distribution } from '../common/distribution.ts';
import type { RegisterSource } from './arbitration/backend.ts';
import type { CoordinatorConfig } from './config.ts';
import type { Coordinator } from './coordinator.ts';
import type { Hooks } from './hooks/hooks.ts';
import { lz4Missing } from './packing/lz4.ts';
import type { ProxyClient, ProxyCounters, ProxyStatus } from './proxy-client.ts';
import type { CoordinatorStatus, Durations } from './status.ts';

const NOTHING: Durations = { count: 0, p50: 0, p90: 0, p99: 0, max: 0 };

/** What there is to say now. A proxy that does not answer is part of it, not an error. */
export async function report(
  coordinator: Coordinator,
  config: CoordinatorConfig,
  proxy: ProxyClient,
  witness: RegisterSource,
  hooks: Hooks,
): Promise<CoordinatorStatus> {
  const { state, primary, backup, gateway } = coordinator;
  const [counters, proxyStatus] = await Promise.all([
    proxy.counters().catch(() => undefined),
    proxy.status().catch(() => undefined),
  ]);
  const runsHere = ['PROT', 'PRES', 'SOLO', 'SYNC', 'SRES'].includes(state.name);
  const isBackup = state.name === 'BACK' || state.name === 'FROZ';
  const role = runsHere ? 'primary' : isBackup ? 'backup' : 'none';
  const peer = state.peer?.host ?? null;
  const taken = primary.protection?.takenEpoch ?? Math.max(0, state.lastEpoch);
  return {
    vm: state.vm,
    host: state.me.host,
    state: state.name,
    protected: state.name === 'PROT',
    running: state.running,
    role,
    generation: state.generation,
    incarnation: state.me.incarnation,
    peer,
    reason: coordinator.reason,
    since: coordinator.since.toISOString(),
    epoch: {
      taken: isBackup ? state.committed : taken,
      committed: Math.max(0, isBackup ? state.committed : state.acked),
      released: Math.max(0, state.released),
    },
    checkpoint: checkpointOf(coordinator, config),
    outputDelayMs: durationsOf(coordinator.telemetry.delay),
    lastCommitAt: isoOf(coordinator.telemetry.lastCommitAt),
    proxy: proxyOf(proxyStatus, counters),
    trialMs: backup.trialMs,
    standby: isBackup ? backup.standby : primary.peerStandby,
    drill: backup.lastDrill,
    peerRttMs: isBackup ? backup.roundTripMs : primary.roundTripMs,
    witness: { reachable: witness.connected, store: config.witnessStore ?? null },
    unprotected: coordinator.unprotected,
    onBackupLoss: state.onBackupLoss,
    held: state.held,
    gateway: gateway ? { addresses: gateway.addresses, reachable: gateway.reachable } : null,
    failovers: coordinator.failovers,
    hooks: hooks.counters,
    warnings: [
      ...primary.warnings,
      ...backup.warnings,
      ...(lz4Missing !== undefined && config.pack !== 'never' ? [lz4Missing] : []),
      ...(gateway?.reachable === false ? [gateway.text] : []),
    ],
  };
}

function checkpointOf(
  coordinator: Coordinator,
  config: CoordinatorConfig,
): CoordinatorStatus['checkpoint'] {
  const protection = coordinator.primary.protection;
  const figures = protection?.figures;
  return {
    mode: config.schedule.mode,
    pauseMs: figures?.pause.durations() ?? NOTHING,
    commitMs: figures?.commit.durations() ?? NOTHING,
    bytesP50: figures?.bytes.median ?? 0,
    bytesTotal: figures?.bytesTotal ?? 0,
    inFlight: protection?.inFlight ?? 0,
    guestWaits: figures?.guestWaits ?? 0,
    windowClosed: figures?.windowClosed ?? 0,
    staging: protection?.stagingMemory ?? { bytes: 0, peakBytes: 0, boundBytes: 0 },
    packing: {
      policy: config.pack,
      effort: coordinator.telemetry.lastSent?.level ?? null,
      sentBytesTotal: coordinator.telemetry.counters.sentBytes,
    },
  };
}

function durationsOf(recorded: Distribution): Durations {
  const { count, maxMs: max } = recorded;
  if (count === 0) return NOTHING;
  const [p50, p90, p99] = [0.5, 0.9, 0.99].map(share => recorded.percentile(share));
  return { count, p50: p50!, p90: p90!, p99: p99!, max };
}

function isoOf(unixMs: number | undefined): string | null {
  return unixMs === undefined ? null : new Date(unixMs).toISOString();
}

function proxyOf(
  status: ProxyStatus | undefined,
  counters: ProxyCounters | undefined,
): CoordinatorStatus['proxy'] {
  const { kernelDrops = 0, truncated = 0, receiveErrors = 0, sendErrors = 0 } = counters ?? {};
  return {
    connected: status !== undefined,
    state: status?.state ?? 'not there',
    taps: status ? (status.taps ?? [status]).map(({ tap }) => tap) : [],
    bridge: status?.bridge ?? '',
    framesLost: kernelDrops + truncated + receiveErrors + sendErrors,
    heldFrames: status?.held.frames ?? 0,
    heldBytes: status?.held.bytes ?? 0,
    bytesMax: status?.held.bytesMax ?? 0,
  };
}
