import { type BurstResult, Bursts } from '../rig/burst.ts';
import type { ToolProcess } from '../rig/tool-process.ts';
import { type Experiment, type Goal, NotRunnable, type Scenario } from '../scenario.ts';
import { orNotRunnable } from './not-runnable.ts';

const FRAMES = 100_000;
const BUFFER_MIB = 512;
const SIZES = [1250, 60] as const;

let bursts: Bursts | undefined;

function goalsOf(variant: string): Goal[] {
  const none = ['lost', 'late', 'duplicates'];
  return [
    { variant, metric: 'rate', of: 'value', min: 0.3 },
    ...none.map(metric => ({ variant, metric, of: 'value' as const, max: 0, every: true })),
  ];
}

/** Fills the proxy, seals and releases. */
async function burstTo(open: Bursts, sink: ToolProcess, bytes: number): Promise<BurstResult> {
  await open.send(FRAMES, bytes);
  await open.proxy.untilHeld(FRAMES);
  const { epoch } = await open.seal();
  return open.releaseTo(sink, epoch);
}

const burst: Experiment = {
  id: 'release/burst',
  title: 'Release of 100,000 held frames',
  about:
    'The guest sends 100,000 numbered frames, all are held, then one `release`. Times are from the moment the command ' +
    'is sent until the kernel outside stamps the first and the last frame; every number is checked.',
  metrics: [
    { id: 'first', title: 'to the first frame', unit: 'us', better: 'lower' },
    { id: 'last', title: 'to the last frame', unit: 'ms', better: 'lower' },
    { id: 'rate', title: 'rate', unit: 'Mpps', better: 'higher' },
    { id: 'throughput', title: 'throughput', unit: 'Gbit/s', better: 'higher' },
    { id: 'lost', title: 'lost', unit: '%', better: 'lower' },
    { id: 'late', title: 'out of order', unit: '', better: 'lower' },
    { id: 'duplicates', title: 'doubled', unit: '', better: 'lower' },
  ],
  variants: SIZES.map(bytes => ({ id: `${bytes}`, title: `frames of ${bytes} bytes` })),
  goals: SIZES.flatMap(bytes => goalsOf(`${bytes}`)),
  rounds: { full: 8, quick: 1 },
  seconds: { open: 2, run: 1.5, quickRun: 1.5 },
  async open() {
    bursts = await orNotRunnable(() => Bursts.open({ bufferMib: BUFFER_MIB }));
    const { framesMax } = (await bursts.proxy.status()).held;
    if (framesMax < FRAMES)
      throw new NotRunnable(`the proxy holds ${framesMax} frames in ${BUFFER_MIB} MiB at most`);
  },
  async run(variant) {
    const open = bursts!;
    const bytes = Number(variant);
    await open.proxy.execute('discard');
    const sink = await open.expect(FRAMES);
    const result = await burstTo(open, sink, bytes).finally(() => sink.end());
    return {
      first: result.firstUs,
      last: result.lastUs / 1000,
      rate: result.mpps,
      throughput: (result.mpps * 8 * bytes) / 1000,
      lost: (100 * result.lost) / FRAMES,
      late: result.late,
      duplicates: result.duplicates,
    };
  },
  async close() {
    await bursts?.close();
    bursts = undefined;
  },
};

export const release: Scenario = {
  name: 'release',
  title: 'Release of a burst',
  question:
    'When a checkpoint took long and much is held: how fast does it leave, in order, and without a loss? The receiver ' +
    'outside runs on the same CPUs.',
  experiments: [burst],
};
