/** Frames of 60 bytes, as many as the sender can make. */
import { ALL_WAYS, alongWays } from './along-ways.ts';
import { atLeast, FRAMES_CPU, framesMetrics, framesValues } from './loads.ts';

export const smallFrames = alongWays(
  {
    id: 'datapath/small-frames',
    title: 'Frames of 60 bytes',
    about:
      'A generator (sendmmsg on a packet socket) saturates the path; what comes out is counted by the kernel itself, ' +
      'while frames are being sent. Lost are those that entered the bridge and never came out, also after a pause. ' +
      "The CPU is that of all of the proxy's threads, per frame that came out.",
    metrics: [...framesMetrics('out'), FRAMES_CPU, ...framesMetrics('in')],
    variants: ALL_WAYS,
    goals: [
      ...atLeast('bypass', { 'frames-out': 0.95, 'frames-in': 0.95 }),
      ...atLeast('pass', { 'frames-out': 0.9, 'frames-in': 0.95 }),
      ...atLeast('hold', { 'frames-out': 0.9, 'frames-in': 0.95 }),
    ],
    rounds: { full: 5, quick: 1 },
    seconds: { open: 2, run: 3.5, quickRun: 1.5 },
  },
  { guest: 'veth' },
  (course, context) => framesValues(course, context, ['out', 'in']),
);
