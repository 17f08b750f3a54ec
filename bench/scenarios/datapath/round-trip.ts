/** The round trip of a datagram that the guest answers at once. */
import { measureRoundTrip } from '../../rig/measure.ts';
import { type Way, Ways } from '../../rig/ways.ts';
import type { Experiment, Metric } from '../../scenario.ts';
import { orNotRunnable } from '../not-runnable.ts';
import { ALL_WAYS, BRIDGE } from './along-ways.ts';

const COUNT = { full: 1000, quick: 400 };

export const ROUND_TRIP: readonly Metric[] = [
  { id: 'p50', title: 'round trip p50', unit: 'us', better: 'lower' },
  { id: 'p99', title: 'round trip p99', unit: 'us', better: 'lower' },
];

let ways: Ways | undefined;

export const roundTrip: Experiment = {
  id: 'datapath/round-trip',
  title: 'Round trip of a datagram',
  about:
    'The outside sends a UDP datagram every 500 µs and waits for the echo; only the way out can be held. "Added" is the ' +
    'difference to the median of the bare bridge, which is measured again right before every variant.',
  metrics: [
    ...ROUND_TRIP,
    { id: 'added', title: 'added p50', unit: 'us', better: 'lower' },
    { id: 'lost', title: 'lost', unit: '', better: 'lower' },
  ],
  variants: ALL_WAYS,
  baseline: BRIDGE.id,
  goals: [{ variant: 'pass', metric: 'added', of: 'value', max: 30 }],
  rounds: { full: 6, quick: 2 },
  seconds: { open: 2, run: 1.4, quickRun: 0.7 },
  async open() {
    ways = await orNotRunnable(() => Ways.open({ guest: 'veth' }));
  },
  async run(variant, context) {
    const open = ways!;
    const load = { count: context.quick ? COUNT.quick : COUNT.full };
    const bare = await open.along('bridge', course => measureRoundTrip(course.rig, load));
    const plain = { p50: bare.p50Us, p99: bare.p99Us, lost: bare.lost };
    if (variant === BRIDGE.id) return plain;
    context.signal.throwIfAborted();
    const found = await open.along(variant as Way, course => measureRoundTrip(course.rig, load));
    const { p50Us, p99Us, lost } = found;
    return { p50: p50Us, p99: p99Us, added: p50Us - bare.p50Us, lost };
  },
  async close() {
    await ways?.close();
    ways = undefined;
  },
};
