/** What grows with the number of protected machines, and with the size of one. */
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { cpuOf, cpuPerSecond } from '../guest/cpu.ts';
import { GuestRig } from '../guest/guest-rig.ts';
import { Keeper } from '../guest/keeper.ts';
import { median, named, spread, trusted } from '../guest/spread.ts';
import type { Experiment, Metric, RunContext, Scenario, Values } from '../scenario.ts';

const ECHO_RATE = 50;
const MACHINES = [1, 2, 4] as const;
const QUICK_MACHINES = 2;
const MEBIBYTES = [128, 512, 1024, 2048] as const;

const METRICS: readonly Metric[] = [
  { id: 'pause-p50', title: 'pause p50', unit: 'ms', better: 'lower' },
  { id: 'echo-p50', title: 'echo p50', unit: 'ms', better: 'lower' },
  { id: 'echo-p90', title: 'echo p90', unit: 'ms', better: 'lower' },
  { id: 'primary-cpu', title: 'CPU, primary', unit: '%', better: 'lower' },
  { id: 'backup-cpu', title: 'CPU, backup', unit: '%', better: 'lower' },
  { id: 'cpu-each', title: 'CPU, one checkpoint', unit: 'ms', better: 'lower' },
  { id: 'checkpoints', title: 'checkpoints', unit: '1/s', better: 'neither' },
];

/** Of one machine while its guest echoes. */
async function measure(rig: GuestRig, ms: number): Promise<Values> {
  const { hosts } = rig.deployment.lab;
  const cpu = () => hosts.map(host => cpuOf([host]));
  const [before, cpuBefore, startMs] = [await rig.status(), cpu(), performance.now()];
  const trips = await rig.during(rig.probe.trips(SERVICE_PORTS.echo, ECHO_RATE, ms));
  const seconds = (performance.now() - startMs) / 1000;
  const [after, cpuAfter] = [await rig.status(), cpu()];
  if (trips.lost) throw new Error(`the connection to a guest was lost: ${trips.lost}`);
  const percent = (host: number) => {
    const { coordinator, proxy } = cpuPerSecond(cpuBefore[host]!, cpuAfter[host]!, seconds);
    return (coordinator + proxy) / 10;
  };
  const checkpoints = after.epoch.taken - before.epoch.taken;
  const usedMs = (percent(0) + percent(1)) * 10 * seconds;
  return {
    ...(checkpoints > 0 ? { 'cpu-each': usedMs / checkpoints } : {}),
    ...named('pause', trusted(after.checkpoint.pauseMs), ['p50']),
    ...named('echo', spread(trips.tripsUs.map(us => us / 1000)), ['p50', 'p90']),
    ...{ 'primary-cpu': percent(0), 'backup-cpu': percent(1) },
    checkpoints: checkpoints / seconds,
  };
}

/** The median over several machines, of each metric that all of them have. */
export function together(each: readonly Values[]): Values {
  const ids = Object.keys(each[0] ?? {}).filter(id => each.every(values => id in values));
  return Object.fromEntries(ids.map(id => [id, median(each.map(values => values[id]!))]));
}

function keepersOf(sizes: readonly number[]): Keeper<GuestRig>[] {
  return sizes.map(mebibytes => new Keeper(signal => GuestRig.create({ signal, mebibytes })));
}

/** One after the other: booting all at once only makes each wait for all. */
async function openAll(keepers: readonly Keeper<GuestRig>[], signal: AbortSignal): Promise<void> {
  for (const keeper of keepers) await keeper.open(signal);
}

async function closeAll(keepers: readonly Keeper<GuestRig>[]): Promise<void> {
  await Promise.all(keepers.map(keeper => keeper.close()));
}

/** The results when all have ended. @throws the first error, but not before that either */
async function everyOne<R>(works: readonly Promise<R>[]): Promise<R[]> {
  await Promise.allSettled(works);
  return Promise.all(works);
}

function durationMs(quick: boolean): number {
  return quick ? 700 : 2_000;
}

function machines(): Experiment {
  const keepers = keepersOf(new Array(Math.max(...MACHINES)).fill(128));
  return {
    id: 'growth/machines',
    title: 'Protected machines at once',
    about:
      `So many guests of 128 MiB, each with coordinators, proxies and witness of its own, all on this machine, and each ` +
      `asked for ${ECHO_RATE} echoes a second. Values are the median of the machines; CPU is coordinator and proxy of ` +
      'one machine on its primary and on its backup host, in percent of one core.',
    metrics: METRICS,
    variants: MACHINES.map(count => ({
      id: `machines-${count}`,
      title: `${count}`,
      x: count,
      series: 'machines',
      fullOnly: count > QUICK_MACHINES,
    })),
    baseline: 'machines-1',
    axis: { title: 'protected machines', unit: '' },
    rounds: { full: 3, quick: 1 },
    seconds: { open: 22, run: 4, quickRun: 2.5 },
    open({ quick, signal }: RunContext) {
      if (quick) keepers.splice(QUICK_MACHINES);
      return openAll(keepers, signal);
    },
    async run(variant: string, { quick, signal }: RunContext) {
      const count = Number(variant.slice('machines-'.length));
      const all = <R>(some: readonly Keeper<GuestRig>[], work: (rig: GuestRig) => Promise<R>) =>
        everyOne(some.map(keeper => keeper.use(signal, work)));
      const taking = keepers.slice(0, count);
      await all(keepers.slice(count), rig => rig.become('unprotected'));
      await all(taking, rig => rig.become('output', true));
      return together(await all(taking, rig => measure(rig, durationMs(quick))));
    },
    close: () => closeAll(keepers),
  };
}

function memory(): Experiment {
  const keepers = keepersOf(MEBIBYTES);
  return {
    id: 'growth/memory',
    title: 'Memory of the guest',
    about:
      `One protected guest of this size, asked for ${ECHO_RATE} echoes a second; the others run unprotected and idle. ` +
      'CPU is coordinator and proxy on the primary and on the backup host, in percent of one core.',
    metrics: [...METRICS, { id: 'protect', title: 'until protected', unit: 's', better: 'lower' }],
    variants: MEBIBYTES.map(size => ({
      id: `mib-${size}`,
      title: `${size} MiB`,
      x: size,
      series: 'memory',
    })),
    baseline: `mib-${MEBIBYTES[0]}`,
    axis: { title: 'memory (MiB)', unit: '', logarithmic: true },
    rounds: { full: 2, quick: 0 },
    seconds: { open: 25, run: 5.5, quickRun: 4 },
    open: ({ signal }: RunContext) => openAll(keepers, signal),
    run(variant: string, { quick, signal }: RunContext) {
      const keeper = keepers[MEBIBYTES.findIndex(size => variant === `mib-${size}`)]!;
      return keeper.use(signal, async rig => {
        const startMs = performance.now();
        await rig.become('output', true);
        const protect = (performance.now() - startMs) / 1000;
        const values = await measure(rig, durationMs(quick));
        await rig.become('unprotected');
        return { ...values, protect };
      });
    },
    close: () => closeAll(keepers),
  };
}

export const GROWTH: Scenario = {
  name: 'growth',
  title: 'Growth',
  question:
    'Does protection of one machine become dearer with more protected machines beside it, or with more memory in it? ' +
    'A checkpoint should cost what was dirtied, not what is there; what QEMU itself does about all of the memory ' +
    '(looking through its dirty bitmap) grows with it.',
  experiments: [machines(), memory()],
};
