/** What it takes to read checkpoints: in memory, and from a socket. */
import { run } from '../../../common/run.ts';
import { inRepository } from '../../../lab/paths.ts';
import type { StageFigures } from '../../guest/stage-speed.ts';
import type { Experiment, RunContext } from '../../scenario.ts';

/** More time than the same work may take than that of a reader that only discards. */
const SLOWER_MAX = 1.2;

/** The one line of JSON that a program of bench/guest says. */
async function said(program: string, way: string, { quick, signal }: RunContext): Promise<unknown> {
  const args = [inRepository(`build/bench/guest/${program}.js`), '--way', way];
  const ms = quick ? '200' : '700';
  const answer = await run(process.execPath, [...args, '--ms', ms], { timeoutMs: 30_000 });
  signal.throwIfAborted();
  return JSON.parse(answer);
}

export const DECODER: Experiment = {
  id: 'checkpoint/decoder',
  title: 'The decoder alone',
  about:
    'A checkpoint of 2,048 pages in memory, in pieces of 64 KiB as from a socket: decoded into staging, or copied as ' +
    'it is (memcpy), in a process of its own.',
  metrics: [{ id: 'speed', title: 'speed', unit: 'MB/s', better: 'higher' }],
  variants: [
    { id: 'copy', title: 'copied' },
    { id: 'decode', title: 'decoded' },
  ],
  baseline: 'copy',
  rounds: { full: 7, quick: 2 },
  seconds: { open: 0, run: 1.2, quickRun: 0.7 },
  async run(variant: string, context: RunContext) {
    const { bytes, ms } = (await said('decoder-speed', variant, context)) as StageFigures;
    return { speed: bytes / ms / 1000 };
  },
};

export const STAGE: Experiment = {
  id: 'checkpoint/stage',
  title: 'Decoding and staging, from a socket',
  about:
    'The same checkpoint, written to a unix socket again and again by another process. A reader that only discards ' +
    'counts what Node gives it. "Discarded in place" reads into one buffer, as the coordinator does: what no reader can ' +
    'be faster than, as it copies nothing. CPU is that of the reading process. Decoding and staging may take ' +
    `${SLOWER_MAX} times as long as discarding.`,
  metrics: [
    { id: 'speed', title: 'speed', unit: 'MB/s', better: 'higher' },
    { id: 'cpu', title: 'CPU of 1 GB', unit: 'ms', better: 'lower' },
  ],
  variants: [
    { id: 'discard', title: 'discarded' },
    { id: 'discard-into', title: 'discarded in place' },
    { id: 'stage', title: 'decoded and staged' },
  ],
  baseline: 'discard',
  goals: [
    { variant: 'stage', metric: 'speed', of: 'ratio', min: 1 / SLOWER_MAX },
    { variant: 'stage', metric: 'cpu', of: 'ratio', max: SLOWER_MAX },
  ],
  rounds: { full: 7, quick: 2 },
  seconds: { open: 0, run: 1.5, quickRun: 1 },
  async run(variant: string, context: RunContext) {
    const { bytes, ms, cpuMs } = (await said('stage-speed', variant, context)) as StageFigures;
    return { speed: bytes / ms / 1000, cpu: (cpuMs / bytes) * 1e9 };
  },
};
