import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { resultsText } from '../../bench/harness/findings.ts';
import { parseResults, readResults } from '../../bench/harness/read-results.ts';
import { NotRunnable } from '../../bench/scenario.ts';
import { experimentOf, resultsOf, runDoubles, scenarioOf } from './doubles.ts';

async function sample() {
  const values = (variant: string, call: number) => {
    if (variant === 'hold') throw new NotRunnable('no tap');
    return { speed: 10 + call, delay: 3 };
  };
  return runDoubles([
    scenarioOf(
      experimentOf(values, {
        goals: [{ variant: 'open', metric: 'speed', of: 'ratio', min: 0.9 }],
        axis: { title: 'frames', unit: '', logarithmic: true },
        variants: [
          { id: 'bridge', title: 'Bridge', x: 1, series: 'veth' },
          { id: 'open', title: 'Open', x: 2 },
          { id: 'hold', title: 'Hold' },
        ],
      }),
    ),
  ]);
}

test('results.json is read back as it was written', async t => {
  const results = await sample();
  t.deepEqual(parseResults(resultsText(results)), results);
});

test('results.json has the statistics, the noise and the verdicts for other programs', async t => {
  const { scenarios } = JSON.parse(resultsText(await sample()));
  const [experiment] = scenarios[0].experiments;
  t.is(experiment.statistics.open.speed.n, 6);
  t.is(typeof experiment.statistics.open.speed.ratio.median, 'number');
  t.is(experiment.verdicts[0].word, 'met');
  t.deepEqual(Object.keys(experiment.noise.tellsPercent), ['speed', 'delay']);
});

type Tree = { [name: string]: Tree };

/** Sets what is at a path like `a.0.b`; undefined removes it. */
function spoil(json: string, place: string, value: unknown): string {
  const tree = JSON.parse(json) as Tree;
  const names = place.split('.');
  const last = names.pop()!;
  const parent = names.reduce((at, name) => at[name]!, tree);
  parent[last] = value as Tree;
  return JSON.stringify(tree);
}

const EXPERIMENT = 'scenarios.0.experiments.0';
const WRONG: [string, unknown, RegExp][] = [
  [
    'schema',
    'curling-bench/2',
    /^schema: expected one of curling-bench\/1, got "curling-bench\/2"/,
  ],
  ['machine.cpu', undefined, /^machine\.cpu: expected a text, got nothing/],
  [
    `${EXPERIMENT}.variants.1.runs.2.values.speed`,
    '12',
    /^scenarios\[0\]\.experiments\[0\]\.variants\[1\]\.runs\[2\]\.values\.speed: expected a number/,
  ],
  [`${EXPERIMENT}.variants.0.runs.0.values.speed`, null, /speed: expected a number, got null/],
  ['scenarios', {}, /^scenarios: expected a list, got \{\}/],
  [`${EXPERIMENT}.metrics.0.unit`, 'furlong', /metrics\[0\]\.unit: expected one of us, /],
  [`${EXPERIMENT}.outcome`, 'odd', /outcome: expected one of complete, /],
];

for (const [place, value, expected] of WRONG) {
  test(`results.json with ${JSON.stringify(value)} as ${place} is refused, and told where`, async t => {
    const text = spoil(resultsText(await sample()), place, value);
    t.throws(() => parseResults(text), { message: expected });
  });
}

test('a file that is not there, or no JSON, is an error of the command line with its name', t => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'curling-bench-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'old.json');
  const expected = { code: 'CURLING_USAGE', message: /old\.json is not a results\.json/ };
  t.throws(() => readResults(file), expected);
  for (const text of ['', '[]', '"x"', '{}', '{"schema":']) {
    writeFileSync(file, text);
    t.throws(() => readResults(file), expected, text);
  }
  writeFileSync(file, resultsText(resultsOf()));
  t.is(readResults(file).machine.cores, 2);
});
