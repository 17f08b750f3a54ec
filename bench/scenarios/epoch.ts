import { quantile } from 'simple-statistics';
import { Bursts } from '../rig/burst.ts';
import type { Experiment, Metric, RunContext, Scenario, Values } from '../scenario.ts';
import { orNotRunnable } from './not-runnable.ts';

const FRAME_BYTES = 60;
const BUFFER_MIB = 256;

/** How many held frames, and how many epochs of them one run takes. */
const STEPS = [
  { frames: 0, full: 60, quick: 20 },
  { frames: 100, full: 20, quick: 6 },
  { frames: 1_000, full: 20, quick: 6 },
  { frames: 10_000, full: 8, quick: 2 },
  { frames: 50_000, full: 4, quick: 1 },
] as const;

let bursts: Bursts | undefined;

function latency(id: string, title: string): Metric[] {
  return [
    { id: `${id}-p50`, title: `${title}, p50`, unit: 'us', better: 'lower' },
    { id: `${id}-p99`, title: `${title}, p99`, unit: 'us', better: 'lower' },
  ];
}

/** Times in microseconds of all epochs of a run, by metric. */
type Times = Record<'seal' | 'seal-behind' | 'release' | 'first', number[]>;

function valuesOf(times: Times): Values {
  const values: Record<string, number> = {};
  for (const [id, list] of Object.entries(times)) {
    if (list.length === 0) continue;
    values[`${id}-p50`] = quantile(list, 0.5);
    values[`${id}-p99`] = quantile(list, 0.99);
  }
  return values;
}

async function emptyEpoch(open: Bursts, times: Times): Promise<void> {
  const { us, epoch } = await open.seal();
  times.seal.push(us);
  times.release.push((await open.release(epoch)).us);
}

/** @param settled Whether the proxy has taken all frames when it seals; else they are still in the kernel's queue. */
async function fullEpoch(
  open: Bursts,
  frames: number,
  settled: boolean,
  times: Times,
): Promise<void> {
  const sink = await open.expect(frames);
  try {
    await open.send(frames, FRAME_BYTES);
    if (settled) await open.proxy.untilHeld(frames);
    const { us, epoch } = await open.seal();
    times[settled ? 'seal' : 'seal-behind'].push(us);
    const result = await open.releaseTo(sink, epoch);
    if (result.lost > 0) throw new Error(`${result.lost} of ${frames} frames were lost`);
    times.release.push(result.answerUs);
    times.first.push(result.firstUs);
  } finally {
    await sink.end();
  }
}

async function measure(variant: string, context: RunContext): Promise<Values> {
  const open = bursts!;
  const step = STEPS.find(({ frames }) => `${frames}` === variant)!;
  const times: Times = { seal: [], 'seal-behind': [], release: [], first: [] };
  await open.proxy.execute('discard');
  for (let count = context.quick ? step.quick : step.full; count > 0; count--) {
    context.signal.throwIfAborted();
    if (step.frames === 0) await emptyEpoch(open, times);
    else {
      await fullEpoch(open, step.frames, true, times);
      await fullEpoch(open, step.frames, false, times);
    }
  }
  return valuesOf(times);
}

const latencies: Experiment = {
  id: 'epoch/latency',
  title: 'Seal and release, by the number of held frames',
  about:
    'Measured at a client of the control socket that is written like the coordinator. Seal is what a guest waits for ' +
    'while it is stopped: once with all frames in the proxy already, and once right behind a burst, where they are ' +
    'partly in the queue of the kernel and have to be taken out. Release is the answer to the command; the first frame ' +
    'is stamped by the kernel outside.',
  metrics: [
    ...latency('seal', 'seal'),
    ...latency('seal-behind', 'seal behind a burst'),
    ...latency('release', 'release answered'),
    ...latency('first', 'release to first frame'),
  ],
  variants: STEPS.map(({ frames }) => ({
    id: `${frames}`,
    title: `${frames.toLocaleString('en')} frames held`,
    x: frames,
    series: 'held',
  })),
  axis: { title: 'held frames', unit: '' },
  rounds: { full: 3, quick: 1 },
  seconds: { open: 2, run: 3, quickRun: 0.9 },
  async open() {
    bursts = await orNotRunnable(() => Bursts.open({ bufferMib: BUFFER_MIB }));
  },
  run: measure,
  async close() {
    await bursts?.close();
    bursts = undefined;
  },
};

export const epoch: Scenario = {
  name: 'epoch',
  title: 'Epoch',
  question:
    'What does the end of an epoch cost the guest, and its release the outside, and does either grow with what is held?',
  experiments: [latencies],
};
