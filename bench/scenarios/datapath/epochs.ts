/** What the length of an epoch costs. */
import type { RunContext, Variant } from '../../scenario.ts';
import { alongWays, BRIDGE, HOLD } from './along-ways.ts';
import {
  FRAMES_CPU,
  framesMetrics,
  framesValues,
  tcpCpuMetric,
  tcpMetric,
  tcpValues,
} from './loads.ts';

const EPOCHS_MS = [1, 5, 10, 25, 100] as const;
/** TCP opens its window once per round trip, which is an epoch here. With 100 ms it is far from done at the limit. */
const SETTLE_EPOCHS = { full: 40, quick: 5 };
const SETTLE_MS_MAX = 1500;
const SETTLE_MS_MIN = { full: 300, quick: 100 };

const STEPS: readonly Variant[] = EPOCHS_MS.map(ms => ({
  id: `epoch-${ms}`,
  title: `epochs of ${ms} ms`,
  x: ms,
  series: 'epochs',
}));

function load(streams: number, variant: string, { quick }: RunContext) {
  const epochMs = EPOCHS_MS.find(ms => variant === `epoch-${ms}`) ?? 0;
  const form = quick ? 'quick' : 'full';
  const wantedMs = Math.min(SETTLE_MS_MAX, SETTLE_EPOCHS[form] * epochMs);
  const settleMs = Math.max(SETTLE_MS_MIN[form], wantedMs);
  return { direction: 'out', streams, settleMs } as const;
}

export const epochs = alongWays(
  {
    id: 'datapath/epochs',
    title: 'Output held in epochs',
    about:
      'The proxy is told to seal every so many milliseconds, and to release what it sealed at once: a frame is held for ' +
      "0 to the length of an epoch, as if checkpoints cost nothing. Bulk transfers are bound by the guest's TCP then, " +
      'not by the datapath: one window per epoch, 4 MiB at the most with default settings, and with long epochs far ' +
      'less, because congestion control opens it slowly. Small frames need no answer and show the datapath itself.',
    metrics: [
      tcpMetric('out', 1),
      tcpMetric('out', 4),
      tcpCpuMetric('out'),
      ...framesMetrics('out'),
      FRAMES_CPU,
    ],
    variants: [BRIDGE, HOLD, ...STEPS],
    axis: { title: 'length of an epoch', unit: 'ms', logarithmic: true },
    rounds: { full: 3, quick: 1 },
    seconds: { open: 2, run: 5, quickRun: 1.8 },
  },
  { guest: 'veth' },
  async (course, context, variant) => {
    // The short form has no time for a single stream, which shows the same bound in smaller figures.
    const loads = (context.quick ? [4] : [1, 4]).map(streams => load(streams, variant, context));
    const bulk = await tcpValues(course, context, loads);
    return { ...bulk, ...(await framesValues(course, context, ['out'])) };
  },
);
