/** A checkpoint on demand, and what a flood does to the number of checkpoints: of output, and of demands. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import { run } from '../../common/run.ts';
import type { CheckpointDone } from '../../coordinator/checkpoint-hints.ts';
import { type Deployment, VM } from '../../lab/deployment.ts';
import { inRepository } from '../../lab/paths.ts';
import { logsOnFailure, untilState } from './faults.ts';
import { metricsOf, sampleOf } from './metrics.ts';
import { deploy, protectedPair, UNFIT, untilRecords } from './scenario.ts';

const qemu = UNFIT ? test.serial.skip : test.serial;

/** The guest says that many records a second, if it can: each a packet of its own. */
const FLOOD_RATE = 20_000;
/** The share of its work that a guest may lose, and what a pause of an idle one counts: schedule.ts. */
const SHARE_MAX = 0.2 / 0.4;

interface Counted {
  atMs: number;
  checkpoints: number;
  pausedMs: number;
  frames: number;
}

async function counted(deployment: Deployment): Promise<Counted> {
  const families = await metricsOf(deployment, 'a');
  const value = (name: string) => sampleOf(families, name) ?? Number.NaN;
  const proxy = await QmpClient.connect(deployment.proxyPath(deployment.lab.host('a')));
  const { framesCaptured } = (await proxy.execute('query-stats')) as { framesCaptured: number };
  proxy.close();
  return {
    atMs: performance.now(),
    checkpoints: value('curling_pause_duration_seconds_count'),
    pausedMs: value('curling_pause_duration_seconds_sum') * 1_000,
    frames: framesCaptured,
  };
}

qemu(
  'a flood of output or of demands for checkpoints is no flood of checkpoints (needs root, qemu)',
  async t => {
    t.timeout(120_000);
    const deployment = await deploy(t);
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment, {
      // Nobody judges it: more than a capture takes.
      traffic: { recordsRate: FLOOD_RATE, casIntervalUs: 0, notCaptured: 'tcp' },
    });
    await untilRecords(traffic, 2_000);

    /** What came to pass while `work` went on, and that no more of it was pause than may be. */
    const during = async (what: string, work: Promise<unknown>) => {
      const before = await counted(deployment);
      await work;
      const after = await counted(deployment);
      const elapsedMs = after.atMs - before.atMs;
      const checkpoints = after.checkpoints - before.checkpoints;
      const pausedMs = after.pausedMs - before.pausedMs;
      const frames = after.frames - before.frames;
      const perSecond = (count: number) => Math.round((count * 1_000) / elapsedMs);
      const rates = `${perSecond(checkpoints)} checkpoints/s, ${perSecond(frames)} frames/s`;
      t.log(`${what}: ${rates}, stopped ${((100 * pausedMs) / elapsedMs).toFixed(0)} %`);
      const pauseMs = pausedMs / checkpoints;
      t.true(pausedMs <= SHARE_MAX * (elapsedMs + 500) + pauseMs, `${pausedMs} of ${elapsedMs}`);
      return { checkpoints, frames };
    };
    const output = await during('flood of output', sleep(3_000));
    t.true(output.checkpoints < output.frames / 5, 'one checkpoint serves many frames');
    const client = await QmpClient.connect(deployment.coordinatorPath('a'));
    t.teardown(() => client.close());
    const demand = async () => {
      const args = { vm: VM, timeoutMs: 20_000 };
      return (await client.execute('checkpoint', args, { timeoutMs: 30_000 })) as CheckpointDone;
    };
    const epochs = new Set<number>();
    const untilMs = performance.now() + 2_000;
    let demands = 0;
    const ask = async () => {
      while (performance.now() < untilMs) {
        const done = await demand();
        demands++;
        epochs.add(done.epoch);
      }
    };
    await during('flood of demands', Promise.all(Array.from({ length: 12 }, ask)));
    t.log(`${demands} demands, ${epochs.size} checkpoints`);
    t.true(epochs.size <= demands / 3, 'demands share their checkpoints');

    // The word comes after the commit, and the checkpoint is one that had not begun.
    const { taken } = (await deployment.status('a'))!.epoch;
    const { epoch } = await demand();
    t.true(epoch > taken);
    t.true((await deployment.status('b'))!.epoch.committed >= epoch);
    const curlingctl = (host: string) => {
      const socket = deployment.coordinatorPath(host);
      const args = [inRepository('build/ctl/main.js'), 'checkpoint', VM, '--socket', socket];
      return run(process.execPath, args, { timeoutMs: 40_000 });
    };
    t.regex(await curlingctl('a'), /^demo: checkpoint \d+ is committed on b \(waited .* later\)$/m);
    const elsewhere = { message: /CURLING_STATE: .*in BACK; ask a, which runs it/ };
    await t.throwsAsync(curlingctl('b'), elsewhere);
    await deployment.tell('a', 'unprotect');
    await untilState(deployment, 'a', 'SOLO');
    await t.throwsAsync(demand(), { code: 'CURLING_STATE', message: /this host is in SOLO/ });
  },
);
