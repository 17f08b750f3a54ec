import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { checkScenarios } from '../../bench/harness/check.ts';
import { durationText, Estimate } from '../../bench/harness/estimate.ts';
import { resultsText } from '../../bench/harness/findings.ts';
import { Progress, positionText } from '../../bench/harness/progress.ts';
import { levenshtein, nearest, selectScenarios } from '../../bench/harness/select.ts';
import { listText } from '../../bench/report/list.ts';
import type { Experiment } from '../../bench/scenario.ts';
import { SCENARIOS } from '../../bench/scenarios/index.ts';
import { BENCH, settingsOf } from '../../bench/settings.ts';
import { parseCommandLine } from '../../common/options.ts';
import { experimentOf, runDoubles, scenarioOf } from './doubles.ts';

const settings = (...argv: string[]) => settingsOf(parseCommandLine(BENCH, argv));
const named = (name: string, ...ids: string[]) => ({
  ...scenarioOf(...ids.map(id => experimentOf(() => ({}), { id: `${name}/${id}` }))),
  name,
});
const LIST = [
  named('datapath', 'tcp', 'small'),
  named('round-trip', 'easy'),
  named('release', 'burst'),
];

function bench(...args: string[]) {
  const child = spawnSync(process.execPath, ['build/bench/main.js', ...args], { encoding: 'utf8' });
  return { status: child.status, stdout: child.stdout, stderr: child.stderr };
}

test('every scenario of the benchmark is well formed', t => {
  t.notThrows(() => checkScenarios(SCENARIOS));
});

const MISTAKES: [string, Partial<Experiment>, RegExp][] = [
  ['an id of another scenario', { id: 'other/one' }, /begins with double\//],
  ['a baseline that is no variant', { baseline: 'nobody' }, /the baseline is a variant/],
  [
    'two metrics of one name',
    { metrics: [0, 1].map(() => experimentOf(() => ({})).metrics[0]!) },
    /its own name/,
  ],
  ['no rounds', { rounds: { full: 0, quick: 0 } }, /at least one round/],
  [
    'a goal of nothing',
    { goals: [{ variant: 'open', metric: 'speed', of: 'ratio' }] },
    /has a bound/,
  ],
  [
    'a goal of an unknown metric',
    { goals: [{ variant: 'open', metric: 'x', of: 'ratio', min: 1 }] },
    /not x/,
  ],
];

for (const [what, change, expected] of MISTAKES) {
  test(`a scenario with ${what} is a programmer's mistake`, t => {
    const wrong = [scenarioOf(experimentOf(() => ({}), change))];
    t.throws(() => checkScenarios(wrong), { name: 'AssertionError', message: expected });
  });
}

test('names pick scenarios or single experiments, in the order of the list', t => {
  const ids = (...names: string[]) =>
    selectScenarios(LIST, names).flatMap(({ experiments }) => experiments.map(({ id }) => id));
  t.is(ids().length, 4);
  t.deepEqual(ids('release', 'datapath'), ['datapath/tcp', 'datapath/small', 'release/burst']);
  t.deepEqual(ids('datapath/small'), ['datapath/small']);
});

test('an unknown name is an error with the nearest ones', t => {
  const message = (name: string) =>
    t.throws(() => selectScenarios(LIST, [name]), { code: 'CURLING_USAGE' as never })?.message;
  t.regex(message('datapth')!, /no scenario "datapth"; did you mean datapath\?/);
  t.regex(message('rtip')!, /there are datapath, datapath\/tcp, /);
  t.regex(message('trip')!, /did you mean round-trip\?/);
  t.is(levenshtein('kitten', 'sitting'), 3);
  t.deepEqual(nearest('relaese', ['release', 'datapath']), ['release']);
});

test('options that contradict each other are errors of the command line', t => {
  const wrong = [
    ['--rounds', '0'],
    ['--rounds', 'many'],
    ['--results', 'a.json', '--quick'],
    ['--results', 'a.json', 'datapath'],
    ['--docs', '--quick'],
    ['--docs', 'datapath'],
    ['--out', ''],
    ['--log-level', 'loud'],
    ['--fast'],
  ];
  for (const argv of wrong)
    t.throws(() => settings(...argv), { code: 'CURLING_USAGE' as never }, argv.join(' '));
  t.deepEqual(settings('datapath', '--quick', '--rounds', '3'), {
    ...{ names: ['datapath'], quick: true, list: false, rounds: 3, out: 'build/bench' },
    ...{ compare: undefined, results: undefined, docs: false, logLevel: 'error' },
  });
});

test('the list has every scenario with the time it takes', t => {
  const text = listText(LIST, false, undefined);
  t.regex(text, /^datapath: Test doubles \(1 min 14 s\)$/m);
  t.regex(text, /^ {2}datapath\/tcp: A test double \(3 variants, 37 s\)$/m);
  t.regex(text, /^all, full: 2 min 28 s$/m);
});

test('the time left follows what runs really take', t => {
  const experiment = experimentOf(() => ({}));
  const works = [
    { experiment, rounds: 2 },
    { experiment, rounds: 2 },
  ];
  const estimate = new Estimate(works, false);
  t.is(estimate.left(), 26);
  estimate.begin();
  t.is(estimate.left(), 12 + 13);
  estimate.ran(4);
  // Twice as long as declared: five runs of 4 s, and the next experiment doubled.
  t.is(estimate.left(), 20 + 26);
  estimate.ran(undefined);
  t.is(estimate.left(), 16 + 26);
  estimate.begin();
  // Once it has runs of its own, those count.
  estimate.ran(2);
  t.is(estimate.left(), 5 * 2);
  t.deepEqual([4, 185, 3900].map(durationText), ['4 s', '3 min 05 s', '1 h 05 min']);
});

test('progress: one changing line on a terminal, a plain line per round elsewhere', t => {
  const at = (round: number, step: string) => ({
    ...{ scenario: 'datapath', experiment: 'datapath/tcp', step, round, rounds: 7, leftS: 65 },
  });
  t.is(positionText(at(2, 'hold'), 99), 'datapath/tcp · round 2 of 7 · hold · 1 min 05 s left');
  t.is(positionText(at(2, 'hold'), 12), 'datapath/tc…');
  const written = (isTTY: boolean) => {
    let text = '';
    const progress = new Progress({ isTTY, columns: 80, write: more => (text += more) });
    for (const step of ['bridge', 'hold']) progress.at(at(1, step));
    progress.say('done');
    return text;
  };
  t.is(written(false), 'datapath/tcp: round 1 of 7, 1 min 05 s left\ndone\n');
  t.is(written(true).split('\r\x1b[K').length, 4);
  t.true(written(true).endsWith('\r\x1b[Kdone\n'));
});

test('the command: errors and their statuses', t => {
  const unknown = bench('no-such-thing');
  t.is(unknown.status, 2);
  t.regex(unknown.stderr, /^npm run bench --: CURLING_USAGE: there is no scenario "no-such-thing"/);
  const missing = bench('--compare', '/nowhere/old.json', '--results', '/nowhere/new.json');
  t.is(missing.status, 2);
  t.regex(missing.stderr, /\/nowhere\/old\.json is not a results\.json/);
  t.is(bench('--list').status, 0);
  t.regex(bench('--help').stdout, /Statuses: 0 done; 1 /);
});

test('the command compares two files without running, and its status says what came out', async t => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'curling-bench-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const run = (factor: number) =>
    runDoubles([scenarioOf(experimentOf(id => ({ speed: id === 'hold' ? factor : 1 })))]);
  const [older, newer] = [path.join(folder, 'old.json'), path.join(folder, 'new.json')];
  writeFileSync(older, resultsText(await run(0.7)));
  writeFileSync(newer, resultsText(await run(0.5)));
  const worse = bench('--compare', older, '--results', newer, '--out', folder);
  t.is(worse.status, 1, worse.stderr);
  t.regex(worse.stdout, /1 worse, 0 better/);
  t.is(bench('--compare', newer, '--results', older).status, 0);
  const shown = bench('--results', newer, '--out', folder);
  t.is(shown.status, 0, shown.stderr);
  t.regex(shown.stdout, /0\.500x/);
  t.regex(readFileSync(path.join(folder, 'report.html'), 'utf8'), /What curling costs/);
});
