/** Makes the protection that a configuration asks for: of checkpoints from COLO, or from Curling's own stream. */
import type { CoordinatorConfig } from './config.ts';
import { CurlingProtection } from './curling/protection.ts';
import { AutoChoice, FixedChoice } from './packing/choice.ts';
import { Protection, type ProtectionModules, type ProtectionOptions } from './protection.ts';
import type { ProtectionRun } from './protection-run.ts';

/** A silent QEMU may be busy: it is given more time than a silent host. */
const STALL_MS_MIN = 1_000;
const STALL_DETECTIONS = 2;
/** Between two checkpoints of Curling's own stream lies what COLO would send in many. */
const SILENCE_STALLS = 10;

/** What is copied, by which name and number. */
export type CopyOptions = Pick<
  ProtectionOptions,
  'mainBlock' | 'stagingBytesMax' | 'generation' | 'epoch' | 'vcpuThreads'
>;

export function newProtection(
  config: CoordinatorConfig,
  copy: CopyOptions,
  modules: Omit<ProtectionModules, 'choice'>,
): ProtectionRun {
  const { mode, pauseShare, intervalMaxMs, idleIntervalMaxMs, intervalMs } = config.schedule;
  const stallMs = Math.max(STALL_MS_MIN, STALL_DETECTIONS * config.detection.silenceMs);
  if (config.source) {
    const silenceMs = SILENCE_STALLS * stallMs;
    return new CurlingProtection({ ...copy, listen: config.source, silenceMs }, modules);
  }
  const schedule = {
    mode,
    pauseShareMax: pauseShare,
    intervalMaxMs,
    idleIntervalMaxMs,
    windowMs: Math.min(500, intervalMaxMs),
    ...(mode === 'fixed' ? { intervalMs } : {}),
  };
  const choice =
    config.pack === 'auto'
      ? new AutoChoice(() => modules.link.channel.roundTripMs)
      : new FixedChoice(config.pack === 'always' ? 'pack' : 'plain');
  const migrateSocket = `${config.runDir}/migrate.sock`;
  const how = { copy: config.copy, migrateSocket, stallMs, schedule };
  return new Protection({ ...copy, ...how }, { ...modules, choice });
}

/** What an operator is to do before a full copy can begin; undefined when nothing is. */
export function awaited({ source }: CoordinatorConfig): string | undefined {
  if (!source) return undefined;
  const host = source.host.includes(':') ? `[${source.host}]` : source.host;
  return `waits for checkpoints: type migrate -f tcp:${host}:${source.port} in the monitor of the guest's QEMU`;
}
