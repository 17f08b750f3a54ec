/** How long a reply takes, at several rates, under each schedule. */
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { GuestRig } from '../guest/guest-rig.ts';
import { Keeper } from '../guest/keeper.ts';
import { type Mode, modeTitle } from '../guest/mode.ts';
import type { Trips } from '../guest/probe.ts';
import { spread } from '../guest/spread.ts';
import type { Experiment, Metric, RunContext, Scenario, Values, Variant } from '../scenario.ts';

const MODES = ['unprotected', 'output', 'fixed-25', 'fixed-100'] as const satisfies Mode[];
type RoundTripMode = (typeof MODES)[number];

const METRICS: readonly Metric[] = [
  { id: 'p50', title: 'p50', unit: 'ms', better: 'lower' },
  { id: 'p90', title: 'p90', unit: 'ms', better: 'lower' },
  { id: 'p99', title: 'p99', unit: 'ms', better: 'lower' },
  { id: 'max', title: 'max', unit: 'ms', better: 'lower' },
  { id: 'answered', title: 'answered', unit: '%', better: 'higher' },
  { id: 'wrong', title: 'wrong', unit: '', better: 'lower' },
];

interface Load {
  mode: RoundTripMode;
  rate: number;
}

/** Of what was sent: round trips in milliseconds, and whether each request has its own answer. */
export function tripValues(trips: Trips): Values {
  if (trips.lost) throw new Error(`the connection to the guest was lost: ${trips.lost}`);
  const asked = trips.sent + trips.skipped;
  return {
    ...spread(trips.tripsUs.map(us => us / 1000)),
    answered: asked === 0 ? 0 : (100 * trips.received) / asked,
    wrong: trips.wrong,
  };
}

/** A few at the lowest rate, thousands at the highest. */
export function durationMs(rate: number, quick: boolean): number {
  if (rate === 1) return quick ? 1_200 : 5_000;
  return quick ? 500 : 2_000;
}

interface Question {
  id: string;
  title: string;
  about: string;
  rates: readonly number[];
  random: boolean;
}

function experiment(question: Question): Experiment {
  const { rates, random } = question;
  const keeper = new Keeper(signal => GuestRig.create({ signal }));
  const loads = new Map<string, Load>();
  // Grouped by mode: changing it takes about a second.
  for (const mode of MODES)
    for (const rate of rates) loads.set(`${mode}-at-${rate}`, { mode, rate });
  const variants = [...loads].map(
    ([id, { mode, rate }]): Variant => ({
      id,
      title: `${modeTitle(mode)}, ${rate}/s`,
      x: rate,
      series: modeTitle(mode),
      fullOnly: rate === 1,
    }),
  );
  return {
    id: `round-trip/${question.id}`,
    title: question.title,
    about: question.about,
    metrics: METRICS,
    variants,
    baseline: 'unprotected-at-100',
    axis: { title: 'requests', unit: '1/s', logarithmic: true },
    rounds: { full: 3, quick: 1 },
    seconds: { open: 7, run: 3.2, quickRun: 1.2 },
    async open({ signal }: RunContext) {
      await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      const { mode, rate } = loads.get(variant)!;
      const port = random ? SERVICE_PORTS.random : SERVICE_PORTS.echo;
      return keeper.use(signal, async rig => {
        await rig.become(mode);
        const trips = rig.probe.trips(port, rate, durationMs(rate, quick), random);
        return tripValues(await rig.during(trips));
      });
    },
    close: () => keeper.close(),
  };
}

const HOW =
  'A client outside sends 64 bytes over one TCP connection, at intervals that vary by half so that they never march ' +
  'in step with the checkpoints, also while older messages are under way; a guest in QEMU (TCG) answers. Ratios are to the unprotected guest at 100 requests a second. ';

export const ROUND_TRIP: Scenario = {
  name: 'round-trip',
  title: 'Round trip through a protected guest',
  question:
    'A reply may leave only when the state that sent it is committed on the other host. How long does a client wait ' +
    'for that? curling takes a checkpoint as soon as output waits; a fixed interval, as in MicroCheckpointing (100 ms ' +
    'by default), makes each reply wait for half of it on average, and stops the guest when nobody waits.',
  experiments: [
    experiment({
      id: 'function',
      title: 'Replies that are a function of the request',
      about: `${HOW}The answer is the request itself, and each byte is checked.`,
      rates: [1, 10, 100, 1000],
      random: false,
    }),
    experiment({
      id: 'random',
      title: 'Replies that hold random bytes',
      about: `${HOW}The answer is as many random bytes: no second execution could give the same.`,
      rates: [100, 1000],
      random: true,
    }),
  ],
};
