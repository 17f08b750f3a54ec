/** TCP in bulk through the datapath: with veth, and without what cards do for TCP. */
import { ALL_WAYS, alongWays, BRIDGE, PASS } from './along-ways.ts';
import { atLeast, tcpCpuMetric, tcpMetric, tcpValues } from './loads.ts';

const ONE_AND_FOUR = [
  { direction: 'out', streams: 1 },
  { direction: 'out', streams: 4 },
  { direction: 'in', streams: 1 },
  { direction: 'in', streams: 4 },
] as const;

export const tcp = alongWays(
  {
    id: 'datapath/tcp',
    title: 'TCP in bulk',
    about:
      'One sender, one receiver, each in its own network namespace on a veth pair, between them a bridge; measured ' +
      "where it is received. Segmentation and checksums are left to the cards, as with virtio. In is the kernel's " +
      'path in every variant, but the acknowledgements go out.',
    metrics: [
      tcpMetric('out', 1),
      tcpMetric('out', 4),
      tcpMetric('in', 1),
      tcpMetric('in', 4),
      tcpCpuMetric('out'),
      tcpCpuMetric('in'),
    ],
    variants: ALL_WAYS,
    goals: [
      ...atLeast('bypass', { 'tcp-out-1': 0.95, 'tcp-in-1': 0.95 }),
      ...atLeast('pass', { 'tcp-out-1': 0.65, 'tcp-in-1': 0.7 }),
      ...atLeast('hold', { 'tcp-out-1': 0.65, 'tcp-in-1': 0.7 }),
    ],
    rounds: { full: 5, quick: 1 },
    seconds: { open: 2, run: 6, quickRun: 2 },
  },
  { guest: 'veth' },
  (course, context) => tcpValues(course, context, ONE_AND_FOUR),
);

export const noOffloads = alongWays(
  {
    id: 'datapath/tcp-no-offloads',
    title: 'TCP in bulk, segmented and summed by the sender',
    about:
      'As before, with checksums, segmentation and merging switched off at both ends: every frame of 1500 bytes goes ' +
      'its own way, which is what a guest without virtio costs.',
    metrics: [tcpMetric('out', 1), tcpMetric('in', 1), tcpCpuMetric('out'), tcpCpuMetric('in')],
    variants: [BRIDGE, PASS],
    rounds: { full: 4, quick: 1 },
    seconds: { open: 2, run: 3, quickRun: 1.2 },
  },
  { guest: 'veth', offloads: false },
  (course, context) =>
    tcpValues(course, context, [
      { direction: 'out', streams: 1 },
      { direction: 'in', streams: 1 },
    ]),
);
