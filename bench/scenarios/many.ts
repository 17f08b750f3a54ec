/** Several machines on the same two hosts: what each of them costs, and what one costs another. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetRig, type Way } from '../fleet/fleet-rig.ts';
import { Keeper, made } from '../guest/keeper.ts';
import type { Experiment, Metric, RunContext, Scenario, Values } from '../scenario.ts';

const MIB = 2 ** 20;
/** Under TCG, memory must not be a multiple of 256 KiB. */
const SMALL_BYTES = 96 * MIB - 8192;
const PAGES_PER_MIB = 256;

const COUNTS = [1, 2, 4] as const;
const WAYS: readonly Way[] = ['together', 'apart'];
const NAMES = ['m1', 'm2', 'm3', 'm4'];

const COUNT_METRICS: readonly Metric[] = [
  { id: 'commit', title: 'commit p50', unit: 'ms', better: 'lower' },
  { id: 'commit99', title: 'commit p99', unit: 'ms', better: 'lower' },
  { id: 'pause', title: 'pause p50', unit: 'ms', better: 'lower' },
  { id: 'trip', title: 'round trip p50', unit: 'ms', better: 'lower' },
  { id: 'cpu', title: 'processor per machine and second', unit: 'ms', better: 'lower' },
  { id: 'memory', title: 'memory per machine', unit: 'MB', better: 'lower' },
];

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** All machines talk a little; both coordinators of each are counted. */
async function countRun(rig: FleetRig, variant: string, quick: boolean): Promise<Values> {
  const [way, count] = variant.split('-') as [Way, string];
  const names = NAMES.slice(0, Number(count));
  await rig.become(way, names);
  for (const name of names) await rig.untilProtected(name);
  await sleep(1_000);
  const before = rig.used();
  const { trips, result } = await rig.talkingTo(names, 5, async () => {
    await sleep(quick ? 3_000 : 10_000);
    return rig.used();
  });
  const seconds = (result.atMs - before.atMs) / 1_000;
  const statuses = await Promise.all(names.map(name => rig.status(name)));
  const of = (read: (status: (typeof statuses)[number]) => number) => mean(statuses.map(read));
  return {
    commit: of(({ checkpoint }) => checkpoint.commitMs.p50),
    commit99: of(({ checkpoint }) => checkpoint.commitMs.p99),
    pause: of(({ checkpoint }) => checkpoint.pauseMs.p50),
    trip: mean(trips.map(({ p50Ms }) => p50Ms)),
    cpu: (result.cpuMs - before.cpuMs) / seconds / names.length,
    memory: result.residentBytes / 1e6 / names.length,
  };
}

function count(): Experiment {
  const machines = NAMES.map((name, index) => ({
    name,
    home: index % 2 === 0 ? 'a' : 'b',
    guest: { ramBytes: SMALL_BYTES },
  }));
  const keeper = new Keeper(signal => FleetRig.create(machines, signal));
  return {
    id: 'many/count',
    title: 'One process for all machines, or one for each',
    about:
      'Guests of 96 MiB, half of them on each of two hosts, each protected by the other host; a client sends each of them 5 ' +
      'echoes a second. Commit and pause are means over the machines; processor time and resident memory are those of all ' +
      'coordinators of both hosts, divided by the number of machines. More guests are also more work for the two ' +
      'processors: compare within one number.',
    metrics: COUNT_METRICS,
    variants: COUNTS.flatMap(number =>
      WAYS.filter(way => number > 1 || way === 'apart').map(way => ({
        id: `${way}-${number}`,
        title: number === 1 ? '1 machine' : `${number} machines, ${way}`,
        ...(number === 4 ? {} : { fullOnly: number === 2 }),
      })),
    ),
    baseline: 'apart-1',
    rounds: { full: 3, quick: 1 },
    seconds: { open: 30, run: 30, quickRun: 15 },
    async open({ signal }: RunContext) {
      await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      return keeper.use(signal, rig => countRun(rig, variant, quick));
    },
    close: () => keeper.close(),
  };
}

/** The second one is slow enough that the link is the limit here, and not the two processors. */
const LINKS_MBIT = [1_000, 200] as const;
/** More than a guest under TCG can do would be less: its service gives up what it is behind. */
const FILL_PAGES_PER_S = 20_000;
const FILL_MS_MAX = 180_000;

/** Fills a guest's memory with what no page repeats. */
async function fill(rig: FleetRig, name: string, mib: number): Promise<void> {
  await rig.tell(name, `dirty start ${FILL_PAGES_PER_S} ${mib}`);
  const deadline = performance.now() + FILL_MS_MAX;
  for (;;) {
    const status = await rig.tell(name, 'dirty status');
    if (Number(status.written) >= mib * PAGES_PER_MIB) break;
    if (performance.now() > deadline)
      throw new Error(`${name} is not filled in time: ${JSON.stringify(status)}`);
    await sleep(500);
  }
  await rig.tell(name, 'dirty stop');
}

async function firstPassRun(rig: FleetRig, variant: string): Promise<Values> {
  const [how, mbit] = variant.split('-');
  const alone = how === 'alone';
  await rig.limitLink(Number(mbit));
  await rig.become(how === 'apart' ? 'apart' : 'together', alone ? ['small'] : ['small', 'big']);
  const since = performance.now();
  await rig.untilProtected('small');
  const { trips } = await rig.talkingTo(['small'], 20, async () => {
    if (alone) await sleep(10_000);
    else await rig.untilProtected('big', 240_000);
  });
  const copyMs = performance.now() - since;
  const { commitMs } = (await rig.status('small')).checkpoint;
  const trip = trips[0]!;
  return {
    commit: commitMs.p50,
    commit99: commitMs.p99,
    trip: trip.p50Ms,
    trip99: trip.p99Ms,
    ...(alone ? {} : { copy: copyMs / 1_000 }),
  };
}

const HOW = { alone: 'alone', together: 'one process', apart: 'two processes' };

function firstPass(): Experiment {
  const small = { name: 'small', home: 'a', guest: { ramBytes: SMALL_BYTES } };
  let filled = 0;
  const keeper = new Keeper(async signal => {
    const bytes = filled * MIB;
    const big = { name: 'big', home: 'a', guest: { ramBytes: bytes + 128 * MIB - 8192 } };
    const rig = await FleetRig.create([small, big], signal);
    return made(rig, async () => {
      await rig.free('a');
      await fill(rig, 'big', filled);
      return rig;
    });
  });
  return {
    id: 'many/first-pass',
    title: "A small machine during a big machine's first pass",
    about:
      'Two guests of one host, a replication link of limited rate (tbf in the middle of it, a queue of 50 ms). The small one is ' +
      'sent 20 echoes a second while the memory of the big one (2 GiB, in the quick form 512 MiB, filled with random ' +
      'numbers) is copied. In one process the two share the link as docs/architecture.md says; two processes do not.',
    metrics: [
      { id: 'commit', title: 'commit p50', unit: 'ms', better: 'lower' },
      { id: 'commit99', title: 'commit p99', unit: 'ms', better: 'lower' },
      { id: 'trip', title: 'round trip p50', unit: 'ms', better: 'lower' },
      { id: 'trip99', title: 'round trip p99', unit: 'ms', better: 'lower' },
      { id: 'copy', title: 'until the big one is protected', unit: 's', better: 'lower' },
    ],
    variants: LINKS_MBIT.flatMap(mbit =>
      Object.entries(HOW).map(([how, title]) => ({
        id: `${how}-${mbit}`,
        title: `${mbit} Mbit/s, ${title}`,
      })),
    ),
    baseline: 'alone-1000',
    rounds: { full: 3, quick: 1 },
    seconds: { open: 60, run: 50, quickRun: 25 },
    async open({ signal, quick }: RunContext) {
      filled = quick ? 384 : 1_920;
      await keeper.open(signal);
    },
    run(variant: string, { signal }: RunContext) {
      return keeper.use(signal, rig => firstPassRun(rig, variant));
    },
    close: () => keeper.close(),
  };
}

export const MANY: Scenario = {
  name: 'many',
  title: 'Several machines',
  question:
    'A host rarely has one machine. One coordinator process can serve them all, each in a thread, or each machine can have ' +
    'a process of its own: what does each cost, and is a small machine kept waiting by what a big one sends?',
  experiments: [count(), firstPass()],
};
