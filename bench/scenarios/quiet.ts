/** What protection costs while the guest does nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BACKUP, GuestRig, PRIMARY } from '../guest/guest-rig.ts';
import { type Used, usedBy } from '../guest/idle-cost.ts';
import { Keeper } from '../guest/keeper.ts';
import { type Mode, modeTitle } from '../guest/mode.ts';
import type { Experiment, Metric, RunContext, Scenario, Values } from '../scenario.ts';

/** The last one: hardly a checkpoint falls into a run, so what is left is that of the watch. */
const MODES: readonly Mode[] = ['unprotected', 'output', 'fixed-60000'];

const PROCESSES = {
  guest: ['the guest', PRIMARY, 'qemu'],
  standby: ['standby', BACKUP, 'qemu'],
  primary: ['coordinator', PRIMARY, 'coordinator'],
  backup: ["backup's coordinator", BACKUP, 'coordinator'],
  proxy: ['proxy', PRIMARY, 'proxy'],
  'backup-proxy': ["backup's proxy", BACKUP, 'proxy'],
  witness: ['witness', 'witness', 'witness'],
} as const;
type Process = keyof typeof PROCESSES;
const NAMES = Object.keys(PROCESSES) as Process[];
/** QEMU sleeps for reasons of its own. */
const OURS = NAMES.filter(name => PROCESSES[name][2] !== 'qemu');

interface Reading {
  atMs: number;
  used: Record<Process, Used>;
  wireBytes: number;
  checkpoints: number;
}

async function read(rig: GuestRig): Promise<Reading> {
  const { lab } = rig.deployment;
  const { epoch } = await rig.status();
  const wireBytes = await rig.wireBytes();
  const used = Object.fromEntries(
    NAMES.map(name => {
      const [, where, role] = PROCESSES[name];
      return [name, usedBy(where === 'witness' ? lab.witness : lab.host(where), role)];
    }),
  ) as Record<Process, Used>;
  return { atMs: performance.now(), used, wireBytes, checkpoints: epoch.taken };
}

/** What was used from one reading to the other, each second. */
function perSecond(before: Reading, after: Reading): Values {
  const seconds = (after.atMs - before.atMs) / 1000;
  const values: Record<string, number> = {};
  for (const name of NAMES)
    values[name] = (after.used[name].cpuMs - before.used[name].cpuMs) / seconds;
  for (const name of OURS)
    values[`${name}-sleeps`] = (after.used[name].sleeps - before.used[name].sleeps) / seconds;
  values.wire = (after.wireBytes - before.wireBytes) / 1024 / seconds;
  values.checkpoints = (after.checkpoints - before.checkpoints) / seconds;
  return values;
}

function experiment(): Experiment {
  const keeper = new Keeper(signal => GuestRig.create({ signal }));
  const cpu = (name: Process): Metric => ({
    id: name,
    title: PROCESSES[name][0],
    unit: 'ms',
    better: 'lower',
  });
  const sleeps = (name: Process): Metric => ({
    id: `${name}-sleeps`,
    title: `${PROCESSES[name][0]} woke`,
    unit: '1/s',
    better: 'lower',
  });
  return {
    id: 'quiet/idle',
    title: 'A guest that does nothing',
    about:
      'A guest of 128 MiB whose services wait and to which nobody talks; its kernel alone is at work. Milliseconds of processor ' +
      'time that each process used per second, how often its threads woke up, and what the primary sent over the ' +
      'replication link. The standby waits while there is a pair, and is gone while there is none.',
    metrics: [
      ...NAMES.map(cpu),
      ...OURS.map(sleeps),
      { id: 'wire', title: 'wire per second', unit: 'KiB', better: 'lower' },
      { id: 'checkpoints', title: 'checkpoints', unit: '1/s', better: 'neither' },
    ],
    variants: MODES.map(mode => ({ id: mode, title: modeTitle(mode) })),
    baseline: 'unprotected',
    rounds: { full: 3, quick: 1 },
    seconds: { open: 8, run: 14, quickRun: 3 },
    async open({ signal }: RunContext) {
      await keeper.open(signal);
    },
    run(variant: string, { quick, signal }: RunContext) {
      return keeper.use(signal, async rig => {
        await rig.become(variant as Mode, true);
        const before = await read(rig);
        await rig.during(sleep(quick ? 1_500 : 12_000));
        return perSecond(before, await read(rig));
      });
    },
    close: () => keeper.close(),
  };
}

export const QUIET: Scenario = {
  name: 'quiet',
  title: 'A quiet guest',
  question:
    'A guest that does nothing should cost nothing, protected or not. What is left of protection then is a checkpoint ' +
    'now and then, so that little is lost with the host, and the watch of the two hosts over each other.',
  experiments: [experiment()],
};
