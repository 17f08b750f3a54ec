/** How fast pages get to the backup, beside a bare stream. */
import type { Experiment, RunContext, Scenario } from '../scenario.ts';
import { transfer } from '../wire/transfer.ts';
import type { Way } from '../wire/ways.ts';

const TITLES: Readonly<Record<Way, string>> = {
  stream: 'bare stream',
  'own-buffer': 'bare stream, read into one buffer',
  counted: 'replication, counted and forgotten',
  full: 'replication, a full copy into the store',
  checkpoints: 'replication, checkpoints into the store',
};

function experiment(secure: boolean): Experiment {
  return {
    id: `wire/${secure ? 'tls' : 'plain'}`,
    title: secure ? 'With TLS' : 'Without TLS',
    about:
      'Two Node processes on this machine, which share its processors with the kernel between them. The bare stream writes ' +
      'whole MiB and reads by `data` events; its other form reads into one buffer of its own (`onread`), and keeps ' +
      'nothing. Replication sends full pages, 256 KiB a message, which lie staged; to a session that only counts, and to the ' +
      'real store in /dev/shm: as a full copy, page after page, and as checkpoints of 16 MiB in runs of four pages all ' +
      'over the memory, each committed, acknowledged and applied.' +
      (secure ? ' TLS 1.3, the same cipher and kind of key in all.' : ''),
    metrics: [
      { id: 'rate', title: 'rate', unit: 'MB/s', better: 'higher' },
      { id: 'source-cpu', title: 'CPU of the source per GB', unit: 'ms', better: 'lower' },
      { id: 'drain-cpu', title: 'CPU of the drain per GB', unit: 'ms', better: 'lower' },
    ],
    variants: (Object.keys(TITLES) as Way[]).map(way => ({
      id: way,
      title: TITLES[way],
      fullOnly: way === 'counted',
    })),
    baseline: 'stream',
    goals: (['full', 'checkpoints'] as const).map(variant => ({
      variant,
      metric: 'rate',
      of: 'ratio',
      min: 0.9,
    })),
    rounds: { full: 7, quick: 2 },
    seconds: { open: 0, run: 2.4, quickRun: 1.4 },
    async run(variant: string, { quick, signal }: RunContext) {
      signal.throwIfAborted();
      const [warmMs, ms] = quick ? [400, 500] : [600, 1_200];
      return transfer({ way: variant as Way, secure, warmMs, ms });
    },
  };
}

export const WIRE: Scenario = {
  name: 'wire',
  title: 'Pages on their way to the backup',
  question:
    'A full copy and a large checkpoint are as fast as their pages get to the backup. How much of what one stream carries ' +
    'between two Node processes is left when the pages are digested at both ends, and written into the shadow?',
  experiments: [experiment(false), experiment(true)],
};
