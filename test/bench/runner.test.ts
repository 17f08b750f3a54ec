import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { orderOf } from '../../bench/harness/order.ts';
import { hasFailures } from '../../bench/harness/results.ts';
import { NotRunnable } from '../../bench/scenario.ts';
import { experimentOf, runDoubles, runExperimentDouble, scenarioOf, worldOf } from './doubles.ts';

const IDS = ['bridge', 'open', 'hold'];
/** Of a machine in a hurry. */
const LIMITS = { factor: 0, runMsMin: 30, openMsMin: 30, closeMs: 30, graceMs: 30 };

function outcomes({ variants }: { variants: readonly { outcome: string }[] }): string[] {
  return variants.map(({ outcome }) => outcome);
}

test('variants run in turns, the baseline too, and every value is kept', async t => {
  const seen: string[] = [];
  const experiment = experimentOf((variant, call) => {
    seen.push(variant);
    return { speed: call };
  });
  const result = await runExperimentDouble(experiment);
  t.deepEqual(
    seen,
    [0, 1, 2, 3, 4, 5].flatMap(round => orderOf(IDS, round)),
  );
  t.is(result.outcome, 'complete');
  t.deepEqual(outcomes(result), ['measured', 'measured', 'measured']);
  const bridge = result.variants[0]!.runs;
  t.deepEqual(
    bridge.map(run => [run.round, run.values.speed]),
    seen.flatMap((id, call) => (id === 'bridge' ? [[Math.floor(call / 3), call]] : [])),
  );
  t.is(result.rounds.length, 6);
});

test('the rounds are those of the form, or those asked for', async t => {
  const rounds = async (quick: boolean, roundsAsked?: number) =>
    (
      await runExperimentDouble(
        experimentOf(() => ({})),
        { quick, roundsAsked },
      )
    ).rounds.length;
  t.deepEqual([await rounds(false), await rounds(true), await rounds(true, 2)], [6, 3, 2]);
});

test('a variant that cannot run is asked once and gives its reason in full; the others go on', async t => {
  let asked = 0;
  const reason = 'qemu: no such filter\nsecond line';
  const experiment = experimentOf(variant => {
    if (variant !== 'hold') return { speed: 1 };
    asked += 1;
    throw new NotRunnable(reason);
  });
  const results = await runDoubles([scenarioOf(experiment)]);
  const [result] = results.scenarios[0]!.experiments;
  t.is(asked, 1);
  t.deepEqual(outcomes(result!), ['measured', 'measured', 'not-runnable']);
  t.is(result!.variants[2]!.reason, reason);
  t.is(result!.variants[0]!.runs.length, 6);
  t.false(hasFailures(results));
});

test('an error is recorded and the run tried once more; that is no failure', async t => {
  let failures = 0;
  const experiment = experimentOf(variant => {
    if (variant !== 'open' || failures > 0) return { speed: 1 };
    failures += 1;
    throw new Error('a guest was slow');
  });
  const results = await runDoubles([scenarioOf(experiment)]);
  const open = results.scenarios[0]!.experiments[0]!.variants[1]!;
  t.deepEqual(open.errors, [{ round: 0, message: 'a guest was slow' }]);
  t.is(open.runs.length, 6);
  t.false(hasFailures(results));
});

test('a run that fails twice ends its variant, not the experiment, and the run has failed', async t => {
  let asked = 0;
  const experiment = experimentOf(variant => {
    if (variant !== 'bridge') return { speed: 1 };
    asked += 1;
    throw new Error('gone');
  });
  const results = await runDoubles([scenarioOf(experiment)]);
  const [result] = results.scenarios[0]!.experiments;
  t.is(asked, 2);
  t.deepEqual(outcomes(result!), ['failed', 'measured', 'measured']);
  t.is(result!.variants[0]!.reason, 'gone');
  t.is(result!.outcome, 'complete');
  t.true(hasFailures(results));
});

test('values of unknown metrics, or that are no numbers, are failures', async t => {
  const unknown = await runExperimentDouble(experimentOf(() => ({ sped: 1 })));
  t.is(unknown.variants[0]!.reason, 'there is no metric sped');
  const infinite = await runExperimentDouble(experimentOf(() => ({ speed: 1 / 0 })));
  t.is(infinite.variants[0]!.reason, 'speed was measured as Infinity');
});

test('an experiment that cannot be opened is closed, says why for all, and the next one runs', async t => {
  const calls: string[] = [];
  const change = (error: Error) => ({
    open: () => Promise.reject(error),
    close: async () => void calls.push('close'),
  });
  const results = await runDoubles([
    scenarioOf(
      experimentOf(() => ({}), change(new NotRunnable('no tap'))),
      experimentOf(() => ({}), { ...change(new Error('broken')), id: 'double/two' }),
      experimentOf(() => ({ speed: 1 }), { id: 'double/three' }),
    ),
  ]);
  const [first, second, third] = results.scenarios[0]!.experiments;
  t.is(first!.outcome, 'not-runnable');
  t.true(first!.variants.every(({ reason }) => reason === 'no tap'));
  t.deepEqual([second!.outcome, second!.reason], ['failed', 'broken']);
  t.is(third!.outcome, 'complete');
  t.is(calls.length, 2);
  t.true(hasFailures(results));
});

test('a failing tidy-up is a failure; what was measured stays', async t => {
  const close = () => Promise.reject(new Error('namespace is busy'));
  const result = await runExperimentDouble(experimentOf(() => ({ speed: 1 }), { close }));
  t.deepEqual([result.outcome, result.reason], ['failed', 'namespace is busy']);
  t.is(result.variants[0]!.runs.length, 6);
});

test('the folder is there during the runs and gone afterwards', async t => {
  let folder = '';
  const experiment = experimentOf(() => ({}), {
    async open(context) {
      folder = context.folder;
      writeFileSync(path.join(folder, 'something'), '');
    },
  });
  await runExperimentDouble(experiment);
  t.true(folder.includes('curling-bench-'));
  t.false(existsSync(folder));
});

test('ended by a signal: the run is told, the experiment closed, what there is kept', async t => {
  const world = worldOf();
  let closed = 0;
  const experiment = experimentOf(() => ({}), {
    run: async (variant, { signal }) => {
      if (variant !== 'hold') return { speed: 1 };
      world.abort.abort(new Error('ended by SIGINT'));
      signal.throwIfAborted();
      return {};
    },
    close: async () => {
      closed += 1;
    },
  });
  const next = experimentOf(() => ({}), { id: 'double/two' });
  const results = await runDoubles([scenarioOf(experiment, next)], { world });
  const { experiments } = results.scenarios[0]!;
  t.is(experiments.length, 1);
  t.is(closed, 1);
  t.false(results.complete);
  t.is(experiments[0]!.outcome, 'interrupted');
  t.deepEqual(outcomes(experiments[0]!), ['measured', 'measured', 'not-reached']);
  t.deepEqual(experiments[0]!.variants[2]!.errors, []);
});

test('a run that takes too long is told to end, and counts as an error', async t => {
  const experiment = experimentOf(() => ({}), {
    run: (variant, { signal }) => {
      if (variant !== 'open') return Promise.resolve({ speed: 1 });
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('told to end')));
      });
    },
  });
  const result = await runExperimentDouble(experiment, { limits: LIMITS });
  t.deepEqual(outcomes(result), ['measured', 'failed', 'measured']);
  t.regex(result.variants[1]!.reason!, /^open took longer than .* \(told to end\)$/);
  t.is(result.variants[1]!.errors.length, 2);
});

test('a run that does not end at all ends its experiment: it would disturb the others', async t => {
  let closed = 0;
  const experiment = experimentOf(() => ({}), {
    run: variant =>
      variant === 'open' ? new Promise(() => undefined) : Promise.resolve({ speed: 1 }),
    close: async () => {
      closed += 1;
    },
  });
  const result = await runExperimentDouble(experiment, { limits: LIMITS });
  t.is(result.outcome, 'failed');
  t.regex(result.reason!, /open did not end when it was told to/);
  t.deepEqual(outcomes(result), ['measured', 'failed', 'not-reached']);
  t.is(closed, 1);
});

test('the position says what runs, and the time left shrinks to nothing', async t => {
  const world = worldOf();
  await runDoubles([scenarioOf(experimentOf(() => ({ speed: 1 }), { open: async () => {} }))], {
    world,
  });
  const [first] = world.positions;
  t.deepEqual([first!.step, first!.round, first!.experiment], ['set-up', 0, 'double/one']);
  const left = world.positions.map(({ leftS }) => leftS);
  t.is(left.at(-1), 0);
  t.true(left[0]! > left.at(-2)!);
});
