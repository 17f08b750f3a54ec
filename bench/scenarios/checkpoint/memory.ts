/** How much memory the coordinators of both hosts take for a guest that has much. */
import { setTimeout as sleep } from 'node:timers/promises';
import { stagingBound } from '../../../coordinator/checkpoint/staging-bound.ts';
import { CONTROL_PORTS } from '../../../lab/client/control.ts';
import { BACKUP, GuestRig, PRIMARY, ramBytes } from '../../guest/guest-rig.ts';
import { Keeper, made } from '../../guest/keeper.ts';
import { peakBytes, resetPeak } from '../../guest/memory.ts';
import type { Mode } from '../../guest/mode.ts';
import type { Experiment, RunContext, Values } from '../../scenario.ts';

const MEBIBYTES = 2048;
const MB = 1e6;
/** Holds content that is no page of one byte throughout. */
const SPAN_MIB = 1024;
const FILL_PAGES_PER_S = 1_000_000;
const FILL_MS_MAX = 90_000;
/** Long enough from one checkpoint to the next that a large one is due. */
const LOADED: Mode = 'fixed-1000';
const LOADED_PAGES_PER_S = 50_000;

/** Gives much of the guest's memory content. Bounded; what is not done then is left out. */
async function filled(rig: GuestRig): Promise<GuestRig> {
  await rig.dirty(FILL_PAGES_PER_S, SPAN_MIB);
  const deadlineMs = performance.now() + FILL_MS_MAX;
  while ((await written(rig)) < SPAN_MIB * 256 && performance.now() < deadlineMs)
    await rig.during(sleep(250));
  await rig.dirty(0);
  return rig;
}

/** Pages that were dirtied since the guest started. */
async function written(rig: GuestRig): Promise<number> {
  const [answer] = await rig.during(rig.probe.ask(CONTROL_PORTS.dirty, 'status'));
  return (JSON.parse(answer!.text) as { written: number }).written;
}

async function measure(rig: GuestRig, loaded: boolean, ms: number): Promise<Values> {
  await rig.withoutCoordinator();
  const { lab } = rig.deployment;
  const [primary, backup] = [lab.host(PRIMARY), lab.host(BACKUP)];
  resetPeak(backup, 'coordinator');
  await rig.become(loaded ? LOADED : 'output', true);
  if (loaded) {
    await rig.dirty(LOADED_PAGES_PER_S, SPAN_MIB);
    for (const host of [primary, backup]) resetPeak(host, 'coordinator');
    await rig.during(sleep(ms));
  }
  const { bytesP50, guestWaits, staging } = (await rig.status()).checkpoint;
  const values = {
    primary: peakBytes(primary, 'coordinator') / MB,
    backup: peakBytes(backup, 'coordinator') / MB,
    staging: staging.peakBytes / MB,
    ...(loaded ? { checkpoint: bytesP50 / MB, waits: guestWaits } : {}),
  };
  await rig.dirty(0);
  return values;
}

export function memoryExperiment(): Experiment {
  const keeper = new Keeper(async signal =>
    made(await GuestRig.create({ signal, mebibytes: MEBIBYTES }), filled),
  );
  const bound = stagingBound(undefined, ramBytes(MEBIBYTES)) / MB;
  return {
    id: 'checkpoint/memory',
    title: 'Memory of the coordinators',
    about:
      `The most memory that each coordinator had resident for a guest of ${MEBIBYTES} MiB, of which ${SPAN_MIB} have ` +
      'content: in the full copy, and while a checkpoint is taken once a second of a guest that dirties up to ' +
      `${LOADED_PAGES_PER_S} pages in it. "Staging" is the most of the primary's staging memory that was in use; ` +
      'neither coordinator may take more than the bound of it, 1.5 times the memory of the guest.',
    metrics: [
      { id: 'primary', title: 'peak, primary', unit: 'MB', better: 'lower' },
      { id: 'backup', title: 'peak, backup', unit: 'MB', better: 'lower' },
      { id: 'staging', title: 'staging', unit: 'MB', better: 'lower' },
      { id: 'checkpoint', title: 'checkpoint p50', unit: 'MB', better: 'neither' },
      { id: 'waits', title: 'guest waited', unit: '', better: 'lower' },
    ],
    variants: [
      { id: 'copy', title: 'full copy' },
      { id: 'loaded', title: 'under load' },
    ],
    goals: ['copy', 'loaded'].flatMap(variant =>
      ['primary', 'backup'].map(metric => ({ variant, metric, of: 'value' as const, max: bound })),
    ),
    rounds: { full: 3, quick: 0 },
    seconds: { open: 40, run: 22, quickRun: 15 },
    async open({ signal }: RunContext) {
      await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      return keeper.use(signal, rig => measure(rig, variant === 'loaded', quick ? 4_000 : 8_000));
    },
    close: () => keeper.close(),
  };
}
