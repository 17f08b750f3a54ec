/** The guest scenarios in earnest, each as short as it can be: everything is answered and counted, nothing is timed. */
import { tmpdir } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { GuestRig } from '../../bench/guest/guest-rig.ts';
import type { Experiment, Scenario, Values } from '../../bench/scenario.ts';
import { CHECKPOINT } from '../../bench/scenarios/checkpoint.ts';
import { FAILOVER } from '../../bench/scenarios/failover.ts';
import { workLine } from '../../bench/scenarios/slowdown.ts';
import { createLogger } from '../../common/log.ts';
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { readRecord, recordedLabs } from '../../lab/record.ts';

const UNFIT = process.getuid?.() === 0 ? undefined : 'needs root, QEMU and namespaces';
const real = UNFIT ? test.serial.skip : test.serial;

/** Labs that this process has made and not removed. */
function ownLabs(): string[] {
  return recordedLabs().filter(name => readRecord(name)?.owner.pid === process.pid);
}

function experimentOf(scenario: Scenario, id: string): Experiment {
  return scenario.experiments.find(experiment => experiment.id === id)!;
}

/** Runs variants of an experiment once each, as the harness would in its short form. */
async function runOnce(
  t: ExecutionContext,
  experiment: Experiment,
  variants: readonly string[],
): Promise<Values[]> {
  const signal = new AbortController().signal;
  const log = createLogger('test', 'error');
  const context = { quick: true, log, signal, folder: tmpdir() };
  t.teardown(() => experiment.close?.());
  await experiment.open?.(context);
  const results: Values[] = [];
  for (const variant of variants) results.push(await experiment.run(variant, context));
  await experiment.close?.();
  t.deepEqual(ownLabs(), []);
  return results;
}

real('one guest is protected in many ways, and measured in each (needs root, qemu)', async t => {
  const rig = await GuestRig.create({ signal: new AbortController().signal });
  t.teardown(() => rig.close());
  const { probe } = rig;
  await rig.become('unprotected');
  const free = await probe.trips(SERVICE_PORTS.echo, 200, 200);
  t.like(free, { received: free.sent, wrong: 0, lost: '' });
  t.true(free.sent > 1);
  t.is((await rig.status()).state, 'SOLO');

  await rig.become('output');
  const random = await probe.trips(SERVICE_PORTS.random, 100, 300, true);
  t.like(random, { received: random.sent, wrong: 0, lost: '' });
  const same = await probe.trips(SERVICE_PORTS.random, 100, 100, false);
  t.is(same.wrong, same.received, 'random bytes are no echo');
  const taken = (await rig.status()).epoch.taken;
  const work = { steps: 10, rounds: 1_000, writes: true };
  const line = workLine(work);
  const [answers, trips] = await probe.tripsDuring(SERVICE_PORTS.echo, 50, () =>
    probe.ask(SERVICE_PORTS.work, line, line),
  );
  t.regex(answers[0]!.text, /^done [0-9a-f]{16}$/);
  t.is(answers[1]!.text, answers[0]!.text, 'the work is the same each time');
  t.is(trips.received, trips.sent);
  t.true((await rig.status()).epoch.taken > taken, 'a reply takes a checkpoint');

  await rig.become('fixed-25');
  t.is((await rig.status()).checkpoint.mode, 'fixed');
  for (const way of ['fetch', 'feed'] as const) {
    const port = way === 'fetch' ? SERVICE_PORTS.bulk : SERVICE_PORTS.sink;
    const { bytes, us } = await probe.transfer(way, port, 0, 150);
    t.true(bytes > 0 && us >= 150_000, `${way}: ${bytes} bytes in ${us} us`);
  }
  await t.throwsAsync(probe.trips(1, 10, 100), { message: /connect/ });
  await rig.close();
  t.deepEqual(ownLabs(), []);
});

real('checkpoints are counted by curling and by the null stager (needs root, qemu)', async t => {
  const experiment = experimentOf(CHECKPOINT, 'checkpoint/pause');
  const [limit, curling] = await runOnce(t, experiment, ['null-100', 'curling-100']);
  for (const values of [limit!, curling!])
    t.true(values.checkpoints! > 0 && values['pause-p50']! > 0 && values.pages! > 0);
  t.true(curling!.wire! > 0 && curling!['commit-p50']! > 0);
});

real(
  'a guest outlives the hosts that are killed, one after the other (needs root, qemu)',
  async t => {
    const experiment = experimentOf(FAILOVER, 'failover/killed');
    for (const values of await runOnce(t, experiment, ['mib-128', 'mib-128'])) {
      t.like(values, { unanswered: 0, 'connections-lost': 0, wrong: 0 });
      t.true(values['first-frame']! > 0);
    }
  },
);

real('a rig that is given up leaves no lab (needs root)', async t => {
  const controller = new AbortController();
  const making = GuestRig.create({ signal: controller.signal });
  const timer = setInterval(() => {
    if (ownLabs().length > 0) controller.abort(new Error('enough'));
  }, 5);
  await t.throwsAsync(making, { message: 'enough' });
  clearInterval(timer);
  t.deepEqual(ownLabs(), []);
});
