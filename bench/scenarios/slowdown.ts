/** How much longer a guest takes for a fixed amount of work. */

import type { CoordinatorStatus } from '../../coordinator/status.ts';
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { GuestRig } from '../guest/guest-rig.ts';
import { Keeper, made } from '../guest/keeper.ts';
import type { Mode } from '../guest/mode.ts';
import type { Probe } from '../guest/probe.ts';
import type { Experiment, RunContext, Scenario, Variant } from '../scenario.ts';

/** Pages dirtied per second of the unprotected guest's time. */
const RATES = [0, 1_000, 10_000, 50_000] as const;
const SERIES = {
  output: { mode: 'output', title: 'while 100 replies a second are asked for', echoRate: 100 },
  fixed: { mode: 'fixed-25', title: 'every 25 ms', echoRate: 0 },
} as const satisfies Record<string, { mode: Mode; title: string; echoRate: number }>;
type SeriesId = keyof typeof SERIES;

const CALIBRATION_ROUNDS = 20_000_000;

/** So many steps, of so many rounds of the number generator and one page written each. */
export interface Work {
  steps: number;
  rounds: number;
  writes: boolean;
}

/** Work that takes `ms` where `roundsPerMs` are done, dirtying `rate` pages per second. */
export function workOf(ms: number, roundsPerMs: number, rate: number): Work {
  const total = Math.max(1, Math.round(ms * roundsPerMs));
  if (rate === 0) return { steps: 1, rounds: total, writes: false };
  const steps = Math.max(1, Math.round((rate * ms) / 1000));
  return { steps, rounds: Math.round(total / steps), writes: true };
}

export function workLine({ steps, rounds, writes }: Work): string {
  return `${steps} ${rounds}${writes ? '' : ' cpu'}`;
}

/** Milliseconds by the clock outside. */
async function timed(probe: Probe, work: Work): Promise<number> {
  const [answer] = await probe.ask(SERVICE_PORTS.work, workLine(work));
  if (!answer!.text.startsWith('done')) throw new Error(`the guest says ${answer!.text}`);
  return answer!.us / 1000;
}

/** Rounds of the number generator that the guest does per millisecond. */
async function calibrate(probe: Probe): Promise<number> {
  const work = { steps: 1, rounds: CALIBRATION_ROUNDS, writes: true };
  // The first one makes the memory.
  await timed(probe, { ...work, rounds: 1 });
  return CALIBRATION_ROUNDS / (await timed(probe, work));
}

/** The work, while somebody else asks for echoes; those are no part of the result. */
async function underEcho(rig: GuestRig, work: Work, rate: number): Promise<number> {
  const { probe } = rig;
  if (rate === 0) return rig.during(timed(probe, work));
  const both = probe.tripsDuring(SERVICE_PORTS.echo, rate, () => timed(probe, work));
  const [workMs, trips] = await rig.during(both);
  if (trips.lost) throw new Error(`the connection to the guest was lost: ${trips.lost}`);
  return workMs;
}

function checkpointsBetween(before: CoordinatorStatus, after: CoordinatorStatus): number {
  return after.epoch.taken - before.epoch.taken;
}

function experiment(): Experiment {
  let roundsPerMs = 0;
  const keeper = new Keeper(async signal =>
    made(await GuestRig.create({ signal }), async rig => {
      roundsPerMs = await rig.during(calibrate(rig.probe));
      return rig;
    }),
  );
  const loads = new Map<string, { series: SeriesId; rate: number }>();
  for (const series of Object.keys(SERIES) as SeriesId[])
    for (const rate of RATES) loads.set(`${series}-${rate}`, { series, rate });
  return {
    id: 'slowdown/work',
    title: 'A fixed amount of work, protected and not',
    about:
      'A program in the guest computes and writes one word into page after page of 16 MiB; a client outside takes the ' +
      'time. Each run does the same work unprotected and then protected: slowdown is the ratio of the two. Dirty ' +
      'rates are those of the unprotected guest. Under TCG a page that is written for the first time after a ' +
      'checkpoint costs the guest extra.',
    metrics: [
      { id: 'slowdown', title: 'slowdown', unit: 'x', better: 'lower' },
      { id: 'unprotected', title: 'unprotected', unit: 's', better: 'lower' },
      { id: 'protected', title: 'protected', unit: 's', better: 'lower' },
      { id: 'checkpoints', title: 'checkpoints', unit: '1/s', better: 'neither' },
    ],
    variants: [...loads].map(
      ([id, { series, rate }]): Variant => ({
        id,
        title: `${SERIES[series].title}, ${rate} pages/s`,
        x: rate,
        series: SERIES[series].title,
        fullOnly: rate === 1_000,
      }),
    ),
    axis: { title: 'pages dirtied', unit: '1/s' },
    rounds: { full: 3, quick: 1 },
    seconds: { open: 7, run: 4.2, quickRun: 2 },
    async open({ signal }: RunContext) {
      await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      const { series, rate } = loads.get(variant)!;
      const { mode, echoRate } = SERIES[series];
      const work = workOf(quick ? 250 : 1_000, roundsPerMs, rate);
      return keeper.use(signal, async rig => {
        await rig.become('unprotected');
        const unprotectedMs = await underEcho(rig, work, echoRate);
        await rig.become(mode);
        const [before, startMs] = [await rig.status(), performance.now()];
        const protectedMs = await underEcho(rig, work, echoRate);
        const seconds = (performance.now() - startMs) / 1000;
        return {
          slowdown: protectedMs / unprotectedMs,
          unprotected: unprotectedMs / 1000,
          protected: protectedMs / 1000,
          checkpoints: checkpointsBetween(before, await rig.status()) / seconds,
        };
      });
    },
    close: () => keeper.close(),
  };
}

export const SLOWDOWN: Scenario = {
  name: 'slowdown',
  title: 'Slowdown of a protected guest',
  question:
    'A guest that computes pays for protection while it stands still for checkpoints, and for the watch on its memory ' +
    'in between. How much depends on how often checkpoints are taken, and on how many pages it dirties.',
  experiments: [experiment()],
};
