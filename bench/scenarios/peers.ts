/** What a user could take instead of curling, on the same guest in the same run. */
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { killOnce } from '../peers/kill.ts';
import { Ledger, leadOf } from '../peers/ledger.ts';
import { ask } from '../peers/peer.ts';
import { Rig } from '../peers/rig.ts';
import { spreadOf } from '../peers/samples.ts';
import {
  type Experiment,
  type Goal,
  type Metric,
  NotRunnable,
  type RunContext,
  type Scenario,
  type Values,
  type Variant,
} from '../scenario.ts';

const VARIANTS: readonly Variant[] = [
  { id: 'unprotected', title: 'unprotected' },
  { id: 'curling', title: 'curling' },
  { id: 'colo-100', title: 'QEMU COLO, checkpoint every 100 ms' },
  { id: 'colo-500', title: 'QEMU COLO, every 500 ms' },
  { id: 'colo-20000', title: 'QEMU COLO, every 20 s (default)' },
  { id: 'buffer-25', title: 'QEMU filter-buffer, 25 ms' },
  { id: 'buffer-100', title: 'QEMU filter-buffer, 100 ms', fullOnly: true },
];
const COLO = VARIANTS.map(({ id }) => id).filter(id => id.startsWith('colo-'));

const PAUSES: readonly Metric[] = [
  { id: 'pause-p50', title: 'guest pause p50', unit: 'ms', better: 'lower' },
  { id: 'pause-p99', title: 'guest pause p99', unit: 'ms', better: 'lower' },
];
const TRIPS: readonly Metric[] = [
  { id: 'p50', title: 'p50', unit: 'ms', better: 'lower' },
  { id: 'p90', title: 'p90', unit: 'ms', better: 'lower' },
  { id: 'p99', title: 'p99', unit: 'ms', better: 'lower' },
  { id: 'max', title: 'maximum', unit: 'ms', better: 'neither' },
  { id: 'unanswered', title: 'unanswered', unit: '', better: 'lower' },
  ...PAUSES,
];

const PEERS =
  'COLO is two QEMUs of this machine with colo-compare and its filters as QEMU documents them, without disks, over unix ' +
  'sockets and sockets without delay; filter-buffer only holds output for a while and protects nothing. Pauses: ' +
  "COLO's from its QEMU's STOP and RESUME, curling's from its own status, of the turn. While another has its turn, QEMU's " +
  'own guests are frozen, and that of curling idles without protection.';

/** All experiments share the guests. */
const rig = new Rig();
const ledger = new Ledger();

const ROUNDS = { full: 3, quick: 1 };

/** What experiments with guests have in common. */
const GUESTS = {
  async open({ signal }: RunContext) {
    signal.throwIfAborted();
    signal.addEventListener('abort', () => void rig.close().catch(() => {}), { once: true });
    await rig.open();
  },
  async close() {
    rig.linger();
  },
};

async function pausesOf(peer: Awaited<ReturnType<Rig['use']>>['peer']): Promise<Values> {
  const pauses = await peer.pauses();
  return pauses ? { 'pause-p50': pauses.p50, 'pause-p99': pauses.p99 } : {};
}

interface Trip {
  name: string;
  title: string;
  about: string;
  port: number;
  /** Messages per second. */
  rate: number;
  durationMs: { full: number; quick: number };
}

function tripExperiment(trip: Trip): Experiment {
  const id = `peers/${trip.name}`;
  const seconds = (durationMs: number) => durationMs / 1000 + 0.3;
  return {
    id,
    title: trip.title,
    about: `${trip.about} ${PEERS}`,
    metrics: TRIPS,
    variants: VARIANTS,
    baseline: 'unprotected',
    rounds: ROUNDS,
    seconds: {
      // The guests are booted once, for the first.
      open: trip.name === 'echo-100' ? 12 : 0,
      run: seconds(trip.durationMs.full),
      quickRun: seconds(trip.durationMs.quick),
    },
    ...GUESTS,
    async run(variant, { quick, signal }) {
      signal.throwIfAborted();
      const { peer, probe } = await rig.use(variant);
      const durationMs = quick ? trip.durationMs.quick : trip.durationMs.full;
      const answer = await ask(probe, `trips ${trip.port} ${trip.rate} ${durationMs}`);
      if (answer.lost) throw new Error(`the connection was lost: ${answer.lost}`);
      const spread = spreadOf(answer.samplesMs as number[]);
      if (!spread) throw new Error(`no message was sent in ${durationMs} ms`);
      const { p50, p90, p99, max } = spread;
      const unanswered = Number(answer.unanswered);
      const values = { p50, p90, p99, max, unanswered, ...(await pausesOf(peer)) };
      ledger.add(id, variant, values);
      return values;
    },
  };
}

const OFTEN = { rate: 100, durationMs: { full: 1500, quick: 400 } };
const SELDOM = { rate: 10, durationMs: { full: 1600, quick: 400 } };
const EASY = "Every reply is the request: COLO's easy case, as both of its guests say the same.";
const HARD = "Every reply is random bytes: COLO's hard case, as its guests never say the same.";

const TRIP_EXPERIMENTS = [
  tripExperiment({
    ...OFTEN,
    name: 'echo-100',
    title: 'Echo, 100 requests/s',
    about: EASY,
    port: SERVICE_PORTS.echo,
  }),
  tripExperiment({
    ...OFTEN,
    name: 'random-100',
    title: 'Random replies, 100 requests/s',
    about: HARD,
    port: SERVICE_PORTS.random,
  }),
  tripExperiment({
    ...SELDOM,
    name: 'echo-10',
    title: 'Echo, 10 requests/s',
    about: EASY,
    port: SERVICE_PORTS.echo,
  }),
  tripExperiment({
    ...SELDOM,
    name: 'random-10',
    title: 'Random replies, 10 requests/s',
    about: HARD,
    port: SERVICE_PORTS.random,
  }),
];

/** After the first part, in which TCP finds its rate. */
const THROUGHPUT_MS = { full: 1500, quick: 400 };
const RAMP_MS = 400;

const throughput: Experiment = {
  id: 'peers/throughput',
  title: 'TCP out of the guest',
  about: `One TCP connection, as fast as it goes, content a function of the request. ${PEERS}`,
  metrics: [{ id: 'rate', title: 'throughput', unit: 'MB/s', better: 'higher' }, ...PAUSES],
  variants: VARIANTS,
  baseline: 'unprotected',
  rounds: ROUNDS,
  seconds: { open: 0, run: 2.2, quickRun: 1 },
  ...GUESTS,
  async run(variant, { quick, signal }) {
    signal.throwIfAborted();
    const { peer, probe } = await rig.use(variant);
    const durationMs = quick ? THROUGHPUT_MS.quick : THROUGHPUT_MS.full;
    const answer = await ask(probe, `bulk ${SERVICE_PORTS.bulk} ${RAMP_MS} ${durationMs}`);
    if (answer.lost) throw new Error(`the connection was lost: ${answer.lost}`);
    const rate = Number(answer.bytes) / Number(answer.durationMs) / 1000;
    return { rate, ...(await pausesOf(peer)) };
  },
};

/** Five times ahead at p90 and p99, and within 2 ms at p50. */
const LEAD_GOALS: readonly Goal[] = TRIP_EXPERIMENTS.flatMap(({ id }) => {
  const variant = id.replace('peers/', '');
  const goals: Goal[] = [
    { variant, metric: 'p50-more', of: 'value', max: 2 },
    { variant, metric: 'p90-lead', of: 'value', min: 5 },
    { variant, metric: 'p99-lead', of: 'value', min: 5 },
  ];
  // At 10 requests a second a run has too few for a p99.
  return variant.endsWith('-10') ? goals.slice(0, 2) : goals;
});

/** Rounds so far, by variant. */
const leadsTold = new Map<string, number>();

const lead: Experiment = {
  id: 'peers/lead',
  title: "curling against COLO's best",
  about:
    'Drawn from the round trips above, round by round: curling against whichever COLO setting was the best at this ' +
    'percentile over all rounds. Below 1: COLO is ahead.',
  metrics: [
    { id: 'p50-more', title: 'p50, curling less COLO', unit: 'ms', better: 'lower' },
    { id: 'p90-lead', title: 'p90, COLO / curling', unit: 'x', better: 'higher' },
    { id: 'p99-lead', title: 'p99, COLO / curling', unit: 'x', better: 'higher' },
  ],
  variants: TRIP_EXPERIMENTS.map(({ id, title }) => ({ id: id.replace('peers/', ''), title })),
  goals: LEAD_GOALS,
  rounds: ROUNDS,
  seconds: { open: 0, run: 0, quickRun: 0 },
  async run(variant) {
    const round = leadsTold.get(variant) ?? 0;
    leadsTold.set(variant, round + 1);
    const values = leadOf(ledger, `peers/${variant}`, COLO, round);
    if (!values) throw new NotRunnable(`COLO or curling was not measured in round ${round + 1}`);
    return { ...values };
  },
};

const kill: Experiment = {
  id: 'peers/kill',
  title: 'The primary host is killed',
  about:
    'Every process of host a is killed under echo at 100/s, random records and compare-and-swaps; an observer judges all ' +
    'frames that came out. QEMU has no detection of its own: COLO is told at once (x-colo-lost-heartbeat), and the ' +
    "time that curling took for detection is not counted in its gap either. Contradicted: the outside saw something that the guest's later execution denies or repeats.",
  metrics: [
    { id: 'gap', title: "client's gap, without detection", unit: 'ms', better: 'lower' },
    { id: 'resume', title: 'known to running', unit: 'ms', better: 'lower' },
    { id: 'survived', title: 'connections survived', unit: '', better: 'higher' },
    { id: 'contradicted', title: 'contradicted', unit: '', better: 'lower' },
    { id: 'judged', title: 'observer sure', unit: '', better: 'higher' },
  ],
  variants: [
    { id: 'curling', title: 'curling' },
    { id: 'colo-500', title: 'QEMU COLO, every 500 ms' },
    { id: 'buffer-25', title: 'QEMU filter-buffer, 25 ms' },
  ],
  goals: [
    { variant: 'curling', metric: 'survived', of: 'value', min: 1, every: true },
    { variant: 'curling', metric: 'contradicted', of: 'value', max: 0, every: true },
    { variant: 'curling', metric: 'judged', of: 'value', min: 1, every: true },
  ],
  rounds: ROUNDS,
  seconds: { open: 0, run: 9, quickRun: 3 },
  ...GUESTS,
  async run(variant, { quick, signal }: RunContext) {
    signal.throwIfAborted();
    const times = quick ? { beforeMs: 500, goneMs: 800 } : { beforeMs: 1000, goneMs: 3000 };
    return killOnce(rig, variant, times);
  },
  close: () => rig.close(),
};

export const peers: Scenario = {
  name: 'peers',
  title: 'curling and its peers',
  question:
    'What else could a user of QEMU take, and what would it cost? The same guest, in turns: unprotected, protected by ' +
    "curling, in QEMU's own COLO, and behind QEMU's filter-buffer with a fixed interval. COLO's answer depends on whether " +
    'its two guests say the same; under emulation its second guest also competes for the processors.',
  experiments: [...TRIP_EXPERIMENTS, throughput, lead, kill],
};
