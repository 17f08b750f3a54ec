/** The datapath behind a real tap, with a program that plays QEMU. */
import { measureRoundTrip } from '../../rig/measure.ts';
import { ALL_WAYS, alongWays } from './along-ways.ts';
import {
  FRAMES_CPU,
  framesMetrics,
  framesValues,
  tcpCpuMetric,
  tcpMetric,
  tcpValues,
} from './loads.ts';
import { ROUND_TRIP } from './round-trip.ts';

const COUNT = { full: 600, quick: 300 };

export const realTap = alongWays(
  {
    id: 'datapath/real-tap',
    title: 'A real tap and a virtio card behind it',
    about:
      "The guest's card is a tap whose frames a small program carries to the host's tap with their vnet headers, one " +
      "thread for both directions, as QEMU does. That program is the narrowest point here, so the datapath's share is " +
      'smaller than with veth. Loss in is mostly that of a tap whose program does not keep up.',
    metrics: [
      tcpMetric('out', 1),
      tcpMetric('in', 1),
      tcpCpuMetric('out'),
      tcpCpuMetric('in'),
      ...framesMetrics('out'),
      FRAMES_CPU,
      ...framesMetrics('in'),
      ...ROUND_TRIP,
    ],
    variants: ALL_WAYS,
    rounds: { full: 4, quick: 1 },
    seconds: { open: 2, run: 6, quickRun: 2.5 },
  },
  { guest: 'tap' },
  async (course, context) => {
    const bulk = await tcpValues(course, context, [
      { direction: 'out', streams: 1 },
      { direction: 'in', streams: 1 },
    ]);
    const frames = await framesValues(course, context, ['out', 'in']);
    context.signal.throwIfAborted();
    const count = context.quick ? COUNT.quick : COUNT.full;
    const { p50Us, p99Us } = await measureRoundTrip(course.rig, { count });
    return { ...bulk, ...frames, p50: p50Us, p99: p99Us };
  },
);
