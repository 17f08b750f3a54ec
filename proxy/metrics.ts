/** All metrics of a proxy besides those of every daemon. They are of all its taps; the label names the first. */
import type { Registry } from 'prom-client';
import { exportFamilies, type Family, oneOf } from '../common/metric-families.ts';
import type { ProxyStatus, TapProxy } from './tap-proxy.ts';
import type { DatapathCounters } from './thread-messages.ts';

/** What a recording counts; nothing of it is known to a proxy that cannot record. */
interface RecordedCounters {
  framesRecorded: number;
  framesUnrecorded: number;
  bytesRecorded: number;
  recordFailures: number;
}

type Counters = DatapathCounters & Partial<RecordedCounters>;

interface ProxySource {
  status: ProxyStatus;
  counters: Counters;
}

const STATES = ['hold', 'pass', 'bypass'] as const;

const STATUS: Family<ProxySource>[] = [
  {
    name: 'curling_proxy_state',
    type: 'gauge',
    help: "1 for what the proxy does with the guest's output: hold, pass (at once) or bypass (the kernel's path).",
    read: ({ status }) => oneOf('state', STATES, status.state),
  },
  {
    name: 'curling_buffered_frames',
    type: 'gauge',
    help: 'Frames that are held now.',
    read: ({ status }) => status.held.frames,
  },
  {
    name: 'curling_buffer_limit_frames',
    type: 'gauge',
    help: 'As many frames as there is room for, when they are small.',
    read: ({ status }) => status.held.framesMax,
  },
  {
    name: 'curling_buffered_bytes',
    type: 'gauge',
    help: 'Bytes of frames that are held now.',
    read: ({ status }) => status.held.bytes,
  },
  {
    name: 'curling_buffer_limit_bytes',
    type: 'gauge',
    help: 'As many bytes as there is room for.',
    read: ({ status }) => status.held.bytesMax,
  },
  {
    name: 'curling_epochs_held',
    type: 'gauge',
    help: 'Epochs that are sealed and not released, now.',
    read: ({ status }) => Math.max(0, status.epoch.sealed - status.epoch.released),
  },
];

/** Counters that are told together, by reason: see DROPPED. */
const REASONS = {
  framesDiscarded: 'discarded',
  truncated: 'malformed',
  sendErrors: 'refused',
} as const;

/** How each other counter is called. One without a name does not compile. */
const NAMES: Record<Exclude<keyof Counters, keyof typeof REASONS>, [name: string, help: string]> = {
  framesCaptured: ['curling_frames_captured_total', 'Frames of the guest that were captured.'],
  bytesCaptured: ['curling_captured_bytes_total', 'Bytes of these.'],
  framesSent: ['curling_frames_released_total', 'Captured frames that have left.'],
  bytesSent: ['curling_released_bytes_total', 'Bytes of these.'],
  bytesDiscarded: [
    'curling_discarded_bytes_total',
    'Bytes of frames that were dropped on command.',
  ],
  framesLarge: ['curling_frames_large_total', 'Captured frames that took a large buffer.'],
  framesTagged: ['curling_frames_tagged_total', 'Captured frames whose VLAN tag was put back.'],
  kernelDrops: [
    'curling_capture_drops_total',
    'Frames of the guest that the kernel dropped because they found no room.',
  ],
  receiveErrors: ['curling_receive_errors_total', 'Attempts to capture that failed.'],
  sendRetries: [
    'curling_send_retries_total',
    'Attempts to send that were put off; the same frame was tried again.',
  ],
  bufferFullEpisodes: [
    'curling_buffer_full_total',
    'Times that the buffer was full, or nearly: frames were lost, or were about to be.',
  ],
  epochsSealed: ['curling_epochs_sealed_total', 'Epochs that were sealed.'],
  guestMacsIgnored: [
    'curling_guest_macs_ignored_total',
    'Source addresses beyond the bound, each time a frame had one.',
  ],
  framesRecorded: [
    'curling_frames_recorded_total',
    'Released frames that are in the file of a recording.',
  ],
  framesUnrecorded: [
    'curling_frames_unrecorded_total',
    'Released frames that are not in it, nor will be: it is full, failed, or could not keep up.',
  ],
  bytesRecorded: ['curling_recorded_bytes_total', 'Bytes of the file of a recording.'],
  recordFailures: ['curling_record_failures_total', 'Recordings that ended with a failure.'],
};

const COUNTERS = Object.entries(NAMES).map(([member, [name, help]]): Family<ProxySource> => {
  const read = ({ counters }: ProxySource) => counters[member as keyof typeof NAMES];
  return { name, help, type: 'counter', read };
});

const DROPPED: Family<ProxySource> = {
  name: 'curling_frames_dropped_total',
  type: 'counter',
  help: 'Captured frames that never left, by reason: discarded (on command: nobody may hear them), malformed (too long or too short), refused (by the own tap).',
  read: ({ counters }) =>
    Object.entries(REASONS).map(([member, reason]) => [
      { reason },
      counters[member as keyof typeof REASONS],
    ]),
};

/** The members of `query-stats` that are exported. */
export const EXPORTED_COUNTERS: readonly string[] = [
  ...Object.keys(NAMES),
  ...Object.keys(REASONS),
];

/** Registers them, and gives what has to be awaited before they are read: the datapath's thread is asked. */
export function exportProxy(registry: Registry, proxy: TapProxy): () => Promise<void> {
  let source: ProxySource | undefined;
  exportFamilies(registry, [...STATUS, ...COUNTERS, DROPPED], () => source);
  return async () => {
    const [status, counters] = await Promise.all([proxy.status(), proxy.counters()]);
    source = { status, counters };
  };
}
