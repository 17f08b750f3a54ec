/** Metrics of checkpoints, on the host that takes them. */
import type { Family } from '../../common/metric-families.ts';
import { PACK_LEVELS } from '../packing/choice.ts';
import { PACKED_KINDS } from '../packing/packer.ts';
import { NO_WORK, type WorkCounters } from '../telemetry.ts';
import type { CoordinatorSource } from './source.ts';

/** Of all protections, also the one that goes on. */
function work({ coordinator: { telemetry, primary } }: CoordinatorSource): WorkCounters {
  const now = primary.protection?.work ?? NO_WORK;
  const sum = { ...telemetry.work };
  for (const name of Object.keys(sum) as (keyof WorkCounters)[]) sum[name] += now[name];
  return sum;
}

const DURATIONS: Family<CoordinatorSource>[] = [
  {
    name: 'curling_epoch_duration_seconds',
    type: 'histogram',
    help: 'From the start of one checkpoint to the start of the next.',
    read: ({ coordinator }) => coordinator.telemetry.epoch,
  },
  {
    name: 'curling_pause_duration_seconds',
    type: 'histogram',
    help: 'For how long the guest was stopped for a checkpoint.',
    read: ({ coordinator }) => coordinator.telemetry.pause,
  },
  {
    name: 'curling_commit_duration_seconds',
    type: 'histogram',
    help: "From a staged checkpoint to the acknowledgement of the backup's commit.",
    read: ({ coordinator }) => coordinator.telemetry.commit,
  },
  {
    name: 'curling_output_delay_seconds',
    type: 'histogram',
    help: "The added delay: for each epoch, from the proxy's word that its first frame is captured to the proxy's word that the epoch has left. Later frames of the epoch waited less.",
    read: ({ coordinator }) => coordinator.telemetry.delay,
  },
];

const SIZES: Family<CoordinatorSource>[] = [
  {
    name: 'curling_epochs_total',
    type: 'counter',
    help: 'Checkpoints that the backup has committed; full copies are not counted.',
    read: ({ coordinator }) => coordinator.telemetry.counters.epochsCommitted,
  },
  {
    name: 'curling_checkpoint_bytes_total',
    type: 'counter',
    help: 'Bytes of checkpoints that were staged; full copies are not counted.',
    read: ({ coordinator }) => coordinator.telemetry.counters.checkpointBytes,
  },
  {
    name: 'curling_checkpoint_sent_bytes_total',
    type: 'counter',
    help: 'Bytes of committed checkpoints as they were sent, packed or not; full copies are not counted.',
    read: ({ coordinator }) => coordinator.telemetry.counters.sentBytes,
  },
  {
    name: 'curling_checkpoint_efforts_total',
    type: 'counter',
    help: 'Committed checkpoints, by how they were packed: plain (not), filter (without pages that had not changed), pack (that, changed lines, LZ4).',
    read: ({ coordinator }) =>
      PACK_LEVELS.map(effort => [{ effort }, coordinator.telemetry.efforts[effort]]),
  },
  {
    name: 'curling_packed_pages_total',
    type: 'counter',
    help: 'Pages of packed checkpoints, by the form in which they were sent: data (whole), fill (one byte throughout), same (not at all), delta (changed lines).',
    read: ({ coordinator }) =>
      PACKED_KINDS.map(kind => [{ kind }, coordinator.telemetry.packedPages[kind]]),
  },
  {
    name: 'curling_packing_seconds_total',
    type: 'counter',
    help: 'Time that packing took, while the guest ran.',
    read: ({ coordinator }) => coordinator.telemetry.counters.packMs / 1000,
  },
  {
    name: 'curling_checkpoint_pages_total',
    type: 'counter',
    help: 'Pages of 4 KiB in them, those of one byte throughout included.',
    read: ({ coordinator }) => coordinator.telemetry.counters.dirtyPages,
  },
  {
    name: 'curling_dirty_pages',
    type: 'gauge',
    help: 'Pages in the newest checkpoint; absent before the first one.',
    read: ({ coordinator }) => coordinator.telemetry.lastPages,
  },
  {
    name: 'curling_replication_lag_epochs',
    type: 'gauge',
    help: 'Checkpoints that are staged here and not committed by the backup, now.',
    read: ({ coordinator }) => coordinator.primary.protection?.inFlight ?? 0,
  },
];

const COPY: Family<CoordinatorSource>[] = [
  {
    name: 'curling_copy_pass',
    type: 'gauge',
    help: 'Which pass over the memory of the guest the full copy is in; absent when none is under way.',
    read: ({ coordinator }) => coordinator.primary.copyProgress?.pass,
  },
  {
    name: 'curling_copy_left_bytes',
    type: 'gauge',
    help: 'What is left to be sent in this pass; absent when no full copy is under way.',
    read: ({ coordinator }) => coordinator.primary.copyProgress?.leftBytes,
  },
  {
    name: 'curling_copy_throttle_ratio',
    type: 'gauge',
    help: 'By how much the guest is slowed for the full copy, 0 to 0.99; absent when none is under way.',
    read: ({ coordinator }) => {
      const progress = coordinator.primary.copyProgress;
      return progress && progress.throttlePercent / 100;
    },
  },
  {
    name: 'curling_copies_given_up_total',
    type: 'counter',
    help: 'Full copies that were given up because the guest wrote as fast as its memory was sent.',
    read: ({ coordinator }) => coordinator.telemetry.counters.copiesGivenUp,
  },
];

const WAITS: Family<CoordinatorSource>[] = [
  {
    name: 'curling_checkpoint_starts_total',
    type: 'counter',
    help: 'Checkpoints that were started, by reason: output (waited), deadline (the longest interval was over), interval (a fixed one was), hint (a command wanted it).',
    read: source => {
      const { output, deadline, interval, hint } = work(source);
      return [
        [{ reason: 'output' }, output],
        [{ reason: 'deadline' }, deadline],
        [{ reason: 'interval' }, interval],
        [{ reason: 'hint' }, hint],
      ];
    },
  },
  {
    name: 'curling_idle_put_offs_total',
    type: 'counter',
    help: 'Times that a checkpoint which was due for its time alone was put off: the guest had said nothing and done next to nothing.',
    read: source => work(source).idlePutOffs,
  },
  {
    name: 'curling_output_waits_total',
    type: 'counter',
    help: 'Times that waiting output had to go on waiting for a checkpoint, by reason: request (QEMU was not ready), in_flight, budget (of pauses).',
    read: source => {
      const counted = work(source);
      return [
        [{ reason: 'request' }, counted.outputWaitedForRequest],
        [{ reason: 'in_flight' }, counted.outputWaitedForInFlight],
        [{ reason: 'budget' }, counted.outputWaitedForBudget],
      ];
    },
  },
  {
    name: 'curling_checkpoint_hints_total',
    type: 'counter',
    help: 'Commands for a checkpoint, by what came of them: committed, timeout, ended (the protection was over first), refused (too many waited).',
    read: source => {
      const counted = work(source);
      return [
        [{ reason: 'committed' }, counted.hintsCommitted],
        [{ reason: 'timeout' }, counted.hintsTimedOut],
        [{ reason: 'ended' }, counted.hintsEnded],
        [{ reason: 'refused' }, counted.hintsRefused],
      ];
    },
  },
  {
    name: 'curling_guest_waits_total',
    type: 'counter',
    help: 'Times that a stopped guest waited for room in the staging memory.',
    read: source => work(source).guestWaits,
  },
  {
    name: 'curling_staging_overflows_total',
    type: 'counter',
    help: 'Pieces of staging memory that were taken above the bound.',
    read: source => work(source).stagingOverflows,
  },
  {
    name: 'curling_staging_bytes',
    type: 'gauge',
    help: 'Staging memory that is reserved now; 0 without a protection.',
    read: ({ coordinator }) => coordinator.primary.protection?.stagingMemory.bytes ?? 0,
  },
  {
    name: 'curling_staging_peak_bytes',
    type: 'gauge',
    help: 'The most of it that was in use at once in this protection.',
    read: ({ coordinator }) => coordinator.primary.protection?.stagingMemory.peakBytes ?? 0,
  },
  {
    name: 'curling_staging_bound_bytes',
    type: 'gauge',
    help: 'The most of it that there may be.',
    read: ({ coordinator }) => coordinator.primary.protection?.stagingMemory.boundBytes ?? 0,
  },
  {
    name: 'curling_staging_grown_bytes_total',
    type: 'counter',
    help: 'Staging memory that was reserved because checkpoints had become larger.',
    read: source => work(source).stagingGrownBytes,
  },
  {
    name: 'curling_staging_shrunk_bytes_total',
    type: 'counter',
    help: 'Staging memory that was given back because it was not needed for a while.',
    read: source => work(source).stagingShrunkBytes,
  },
  {
    name: 'curling_window_closed_total',
    type: 'counter',
    help: 'Times that a due checkpoint waited because too much was in flight to the backup.',
    read: source => work(source).windowClosed,
  },
];

export const CHECKPOINTS = [...DURATIONS, ...SIZES, ...COPY, ...WAITS];
