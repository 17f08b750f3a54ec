/** One guest of each size and number of processors: from its full copy to its resume on the other host. */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { zeroAndReserve } from '../../coordinator/checkpoint/allocate.ts';
import { partPids } from '../../lab/parts.ts';
import { procText } from '../../lab/processes.ts';
import type { GuestOptions } from '../../lab/qemu.ts';
import { BACKUP, GuestRig, PRIMARY, ramBytes } from '../guest/guest-rig.ts';
import { nullStager } from '../guest/null-run.ts';
import { spread } from '../guest/spread.ts';
import type { Experiment, Metric, RunContext, Scenario, Values } from '../scenario.ts';

const INTERVAL_MS = 40;
/** Dirtied from one checkpoint to the next, in the runs that are not idle. */
const PAGES = 500;
const SPAN_MIB = 32;
const MEBIBYTES = [128, 512, 1024, 2048, 4096] as const;
const QUICK_MEBIBYTES = 512;
const PROCESSORS = [1, 2, 4] as const;
const FAIL_OVER_MS_MAX = 30_000;

const METRICS: readonly Metric[] = [
  { id: 'zero', title: 'shadow zeroed', unit: 'ms', better: 'lower' },
  { id: 'protect', title: 'until protected', unit: 's', better: 'lower' },
  { id: 'trial', title: 'trial load', unit: 'ms', better: 'lower' },
  { id: 'qemu-idle', title: 'pause, thrown away, idle', unit: 'ms', better: 'lower' },
  { id: 'pause-idle', title: 'pause, idle', unit: 'ms', better: 'lower' },
  { id: 'pause-dirty', title: `pause, ${PAGES} pages`, unit: 'ms', better: 'lower' },
  { id: 'commit-dirty', title: `staged to committed, ${PAGES} pages`, unit: 'ms', better: 'lower' },
  { id: 'primary-mb', title: 'memory, primary', unit: 'MB', better: 'lower' },
  { id: 'backup-mb', title: 'memory, backup', unit: 'MB', better: 'lower' },
  { id: 'resume', title: 'resume', unit: 'ms', better: 'lower' },
];

/** Time to empty and reserve a file of so many bytes on /dev/shm, twice used: as before a second full copy. */
async function zeroMs(bytes: number): Promise<number> {
  const folder = mkdtempSync('/dev/shm/curling-bench-');
  const file = openSync(join(folder, 'shadow'), 'w+');
  try {
    await zeroAndReserve(file, bytes);
    const startMs = performance.now();
    await zeroAndReserve(file, bytes);
    return performance.now() - startMs;
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}

/** The most memory that the coordinator of a host has had; the shadow, which is a file, is not in it. */
function peakMb(rig: GuestRig, host: string): number {
  const [pid] = partPids(rig.deployment.lab.host(host), 'coordinator');
  const kib = /^VmHWM:\s*(\d+) kB$/m.exec(procText(pid ?? 0, 'status'))?.[1];
  return (Number(kib ?? Number.NaN) * 1024) / 1e6;
}

/** The median pause and commit of checkpoints at a fixed interval. */
async function checkpoints(rig: GuestRig, ms: number): Promise<{ pause: number; commit: number }> {
  await rig.become(`fixed-${INTERVAL_MS}`, true);
  await rig.during(sleep(ms));
  const { pauseMs, commitMs } = (await rig.status()).checkpoint;
  return { pause: pauseMs.p50, commit: commitMs.p50 };
}

/** The primary's host is killed; milliseconds from the grant to the guest that runs on the other one. */
async function resumeMs(rig: GuestRig): Promise<number> {
  const { deployment } = rig;
  deployment.lab.kill(PRIMARY);
  const over = deployment.untilStatus(
    BACKUP,
    'in charge',
    status => status.failovers.length > 0 && status.running,
    FAIL_OVER_MS_MAX,
  );
  return (await rig.during(over)).failovers.at(-1)!.resumeMs;
}

async function measure(guest: Omit<GuestOptions, 'image'>, context: RunContext): Promise<Values> {
  const { quick, signal } = context;
  const ms = quick ? 600 : 2_000;
  const zero = await zeroMs(guest.ramBytes!);
  const rig = await GuestRig.create({ signal, guest });
  try {
    const alone = await nullStager(rig, ms, INTERVAL_MS);
    const startMs = performance.now();
    await rig.become('output', true);
    const protect = (performance.now() - startMs) / 1000;
    const trial = (await rig.deployment.status(BACKUP))?.trialMs ?? Number.NaN;
    const idle = await checkpoints(rig, ms);
    await rig.dirty((PAGES * 1000) / INTERVAL_MS, SPAN_MIB);
    const dirty = await checkpoints(rig, ms);
    const memory = { 'primary-mb': peakMb(rig, PRIMARY), 'backup-mb': peakMb(rig, BACKUP) };
    return {
      ...{ zero, protect, trial, ...memory },
      'qemu-idle': spread(alone.pausesMs).p50 ?? Number.NaN,
      'pause-idle': idle.pause,
      'pause-dirty': dirty.pause,
      'commit-dirty': dirty.commit,
      resume: await resumeMs(rig),
    };
  } finally {
    await rig.close();
  }
}

const HOW =
  `Each run boots a guest of its own. Until protected: first pass, commit and trial load. Pauses are medians of ` +
  `checkpoints every ${INTERVAL_MS} ms; thrown away is the same stream read and forgotten, which is QEMU's part. Memory ` +
  "is the coordinators' peak (VmHWM) without the shadow. Resume is from the grant to a running guest.";

function memory(): Experiment {
  return {
    id: 'sizes/memory',
    title: 'Memory of the guest',
    about: `One guest at a time, of so much memory and one processor. ${HOW}`,
    metrics: METRICS,
    variants: MEBIBYTES.map(size => ({
      id: `mib-${size}`,
      title: `${size} MiB`,
      x: size,
      series: 'memory',
      fullOnly: size > QUICK_MEBIBYTES,
    })),
    baseline: `mib-${MEBIBYTES[0]}`,
    axis: { title: 'memory (MiB)', unit: '', logarithmic: true },
    rounds: { full: 3, quick: 1 },
    seconds: { open: 0, run: 25, quickRun: 14 },
    run: (variant: string, context: RunContext) =>
      measure({ ramBytes: ramBytes(Number(variant.slice('mib-'.length))) }, context),
  };
}

function processors(): Experiment {
  return {
    id: 'sizes/processors',
    title: 'Processors of the guest',
    about: `One guest of 128 MiB at a time, with so many processors. ${HOW}`,
    metrics: METRICS,
    variants: PROCESSORS.map(cpus => ({
      id: `cpus-${cpus}`,
      title: `${cpus}`,
      x: cpus,
      series: 'processors',
    })),
    baseline: 'cpus-1',
    axis: { title: 'processors', unit: '' },
    rounds: { full: 3, quick: 0 },
    seconds: { open: 0, run: 20, quickRun: 14 },
    run: (variant: string, context: RunContext) =>
      measure({ ramBytes: ramBytes(128), cpus: Number(variant.slice('cpus-'.length)) }, context),
  };
}

export const SIZES: Scenario = {
  name: 'sizes',
  title: 'Sizes of guests',
  question:
    'What does a larger guest cost, from its full copy over its checkpoints to its resume? A full copy takes the memory ' +
    'there is, a checkpoint what was dirtied and a look through the dirty bitmap, a resume neither. docs/scaling.md ' +
    'says what that means for guests that are larger than this machine.',
  experiments: [memory(), processors()],
};
