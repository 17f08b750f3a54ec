/** What a checkpoint costs the guest, and what it could cost at best. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { GuestRig } from '../guest/guest-rig.ts';
import { Keeper, made } from '../guest/keeper.ts';
import { nullStager } from '../guest/null-run.ts';
import { named, spread, trusted } from '../guest/spread.ts';
import type { Experiment, RunContext, Scenario, Values, Variant } from '../scenario.ts';
import { memoryExperiment } from './checkpoint/memory.ts';
import { DECODER, STAGE } from './checkpoint/reading.ts';

/** From start to start. */
const INTERVAL_MS = 40;
/** Dirtied from one checkpoint to the next. */
const PAGES = [0, 100, 500, 2000] as const;
/** More than the largest number, so that no page is written twice in between. */
const SPAN_MIB = 32;
const PERCENTILES = ['p50', 'p90', 'p99'];
const WAYS = { null: 'thrown away', curling: 'curling' } as const;
type Way = keyof typeof WAYS;

interface Load {
  way: Way;
  pages: number;
}

/** The dirty pages that were meant, and the way, of each variant. */
const LOADS = new Map<string, Load>(
  PAGES.flatMap(pages =>
    (['null', 'curling'] as const).map((way): [string, Load] => [
      `${way}-${pages}`,
      { way, pages },
    ]),
  ),
);

function measureMs(quick: boolean): number {
  return quick ? 600 : 3_000;
}

/** Through the coordinator, the proxy and the backup. */
async function curling(rig: GuestRig, ms: number, deviceBytes: number): Promise<Values> {
  await rig.become(`fixed-${INTERVAL_MS}`, true);
  const [wire, before] = [await rig.wireBytes(), await rig.status()];
  await rig.during(sleep(ms));
  const after = await rig.status();
  const count = after.epoch.taken - before.epoch.taken;
  if (count === 0) throw new Error('no checkpoint was taken');
  const wireBytes = (await rig.wireBytes()) - wire;
  const { pauseMs, commitMs, bytesP50 } = after.checkpoint;
  return {
    ...named('pause', trusted(pauseMs), PERCENTILES),
    ...named('commit', trusted(commitMs), PERCENTILES),
    pages: Math.max(0, (bytesP50 - deviceBytes) / PAGE_BYTES),
    wire: wireBytes / count / 1024,
    checkpoints: pauseMs.count,
  };
}

async function thrownAway(rig: GuestRig, ms: number): Promise<Values> {
  const figures = await nullStager(rig, ms, INTERVAL_MS);
  return {
    ...named('pause', spread(figures.pausesMs), PERCENTILES),
    pages: spread(figures.pages).p50!,
    checkpoints: figures.pausesMs.length,
  };
}

function pauseExperiment(): Experiment {
  let deviceBytes = 0;
  const keeper = new Keeper(async signal =>
    made(await GuestRig.create({ signal }), async rig => {
      // Once, so that pages can be told from device state in what the coordinator counts.
      deviceBytes = (await nullStager(rig, 1, INTERVAL_MS)).deviceBytes;
      return rig;
    }),
  );
  return {
    id: 'checkpoint/pause',
    title: 'How long the guest stands still',
    about:
      `A checkpoint every ${INTERVAL_MS} ms of a guest of 128 MiB that dirties so many pages in between, from REPLY ` +
      'to LOADED. "Thrown away" is the limit: the same stream of the same QEMU, read by the same code, staged and ' +
      'forgotten; nothing is sealed, sent or released. The axis is what it was told to dirty, and ' +
      "pages what a checkpoint held (median), with the kernel's own and less what the guest did not get round to; wire is what the " +
      'replication interface sent for each, with everything else on that link.',
    metrics: [
      { id: 'pause-p50', title: 'pause p50', unit: 'ms', better: 'lower' },
      { id: 'pause-p90', title: 'pause p90', unit: 'ms', better: 'lower' },
      { id: 'pause-p99', title: 'pause p99', unit: 'ms', better: 'lower' },
      { id: 'commit-p50', title: 'staged to committed p50', unit: 'ms', better: 'lower' },
      { id: 'commit-p90', title: 'staged to committed p90', unit: 'ms', better: 'lower' },
      { id: 'commit-p99', title: 'staged to committed p99', unit: 'ms', better: 'lower' },
      { id: 'wire', title: 'wire', unit: 'KiB', better: 'lower' },
      { id: 'pages', title: 'pages', unit: '', better: 'neither' },
      { id: 'checkpoints', title: 'checkpoints', unit: '', better: 'neither' },
    ],
    variants: [...LOADS].map(
      ([id, { way, pages }]): Variant => ({
        id,
        title: `${WAYS[way]}, ${pages} pages`,
        x: pages,
        series: WAYS[way],
        fullOnly: pages === 500,
      }),
    ),
    baseline: 'null-0',
    axis: { title: 'dirty pages per checkpoint', unit: '' },
    rounds: { full: 3, quick: 1 },
    seconds: { open: 8, run: 4.6, quickRun: 2 },
    async open({ signal }: RunContext) {
      await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      const { way, pages } = LOADS.get(variant)!;
      const ms = measureMs(quick);
      return keeper.use(signal, async rig => {
        // Before the protection begins: its full copy, and not a checkpoint, carries what comes of that.
        await rig.dirty((pages * 1000) / INTERVAL_MS, SPAN_MIB);
        return way === 'curling' ? curling(rig, ms, deviceBytes) : thrownAway(rig, ms);
      });
    },
    close: () => keeper.close(),
  };
}

export const CHECKPOINT: Scenario = {
  name: 'checkpoint',
  title: 'A checkpoint of a running guest',
  question:
    'How long does the guest stand still for a checkpoint, and how much of that is curling? QEMU itself stops the ' +
    'guest, looks for dirty pages, and writes them and its devices to a socket; whoever reads them can only add to it.',
  experiments: [pauseExperiment(), DECODER, STAGE, memoryExperiment()],
};
