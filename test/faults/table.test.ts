import fs from 'node:fs';
import test from 'ava';
import { STOP_POINTS } from '../../common/test-stop.ts';
import { FAULTS } from '../sim/faults.ts';
import { accepted, needsRepair, stopPointOf } from './cell.ts';
import { cellsFor } from './choice.ts';
import { expectedMarkdown, faultsMarkdown, MEASURED } from './document.ts';
import { expected, expectedCells } from './expected.ts';
import { POINTS } from './points.ts';
import { gapsOf, lineOf, plainTable, type Results, summaryText, tablesOf } from './report.ts';
import { cellsOf, oneOf, settingsOf, USUAL_FAULTS } from './settings.ts';

const RESULTS: Results = {
  at: '2026-01-02T03:04:05.000Z',
  detectionMs: 600,
  cells: [
    {
      ...{ point: 'E3-sealed', fault: 'kill-primary-host', expected: 'backup', outcome: 'backup' },
      ...{ ok: true, gapMs: 812, durationMs: 6_000, notes: [] },
      offences: { repeated: 0, contradicted: 0, uncommitted: 0, lost: 0 },
    },
    {
      ...{ point: 'F2-solo-sent', fault: 'cut-pb', expected: 'backup', outcome: 'primary' },
      ...{ ok: false, gapMs: 90, durationMs: 4_000, notes: ['went on at the primary'] },
      offences: { repeated: 2, contradicted: 0, uncommitted: 0, lost: 0 },
    },
  ],
};

test('every point with every fault has an outcome and a reason', t => {
  const cells = expectedCells();
  t.is(cells.length, 31 * 35);
  t.is(new Set(cells.map(({ point, fault }) => `${point} ${fault}`)).size, cells.length);
  for (const { point, fault, outcome, why } of cells) {
    t.true(['primary', 'backup', 'either', 'stopped'].includes(outcome), `${point} ${fault}`);
    t.true(why.length > 10, `${point} ${fault}: ${why}`);
  }
});

test('the points of the table are those at which a process can stop itself', t => {
  t.deepEqual(POINTS.map(stopPointOf), [...STOP_POINTS]);
});

test('a protected machine survives every single fault of an epoch', t => {
  for (const point of POINTS.filter(name => name.startsWith('E')))
    for (const fault of FAULTS)
      t.not(expected(point, fault).outcome, 'stopped', `${point} ${fault}`);
});

test('what real processes may end with is what is expected, and either of both in a race', t => {
  t.deepEqual(accepted({ point: 'E3-sealed', fault: 'kill-primary-host' }), ['backup']);
  t.deepEqual(accepted({ point: 'E3-sealed', fault: 'cut-pb' }), ['primary', 'backup']);
  t.deepEqual(accepted({ point: 'R1-snapshot', fault: 'kill-primary-qemu' }), ['stopped']);
});

test('no dead host has to come back before a protected guest is heard again', t => {
  for (const point of POINTS.filter(name => name.startsWith('E')))
    for (const fault of USUAL_FAULTS.filter(name => /-(host|coordinator|qemu)$/.test(name)))
      t.false(needsRepair({ point, fault }), `${point} ${fault}`);
  t.true(needsRepair({ point: 'E3-sealed', fault: 'kill-primary-proxy' }));
  t.true(needsRepair({ point: 'R1-snapshot', fault: 'kill-primary-coordinator' }));
});

test('docs/faults.md is what the table says', t => {
  const document = fs.readFileSync('docs/faults.md', 'utf8');
  const text = 'npm run test:faults -- --list --docs';
  t.is(document.split(MEASURED)[0], expectedMarkdown(), `write it anew: ${text}`);
});

test('the document keeps what was measured when only the table changes', t => {
  const measured = faultsMarkdown(RESULTS, '');
  t.true(measured.startsWith(expectedMarkdown()));
  t.regex(measured, /`kill-primary-host` \| 1 \| 0 \| 1 \| 0 \| 0 \| 812 \| 812/);
  t.is(faultsMarkdown(undefined, measured), measured);
});

test('a run is told by cell, as tables and in total', t => {
  t.regex(
    lineOf(RESULTS.cells[0]!, 0, 2),
    /^ok +1\/2 E3-sealed +kill-primary-host +backup, gap 812/,
  );
  t.regex(lineOf(RESULTS.cells[1]!, 1, 2), /^FAILED .*\n {4}went on at the primary$/);
  const summary = summaryText(RESULTS);
  t.regex(summary, /kill-primary-host +b 812/);
  t.regex(summary, /cut-pb +!p 90/);
  t.regex(summary, /cells 2, failed 1/);
  t.regex(summary, /repeated 2, contradicted 0/);
  t.deepEqual(gapsOf(RESULTS.cells), { count: 2, medianMs: 812, maxMs: 812 });
  const [table] = tablesOf(RESULTS.cells, () => undefined);
  t.deepEqual(table![0], ['', 'E3']);
  t.is(plainTable(table!).split('\n')[1], '  kill-primary-host   .');
});

test('points, faults and a share of the cells can be chosen', t => {
  const line = (values: Record<string, string>) => ({
    values,
    positionals: [],
    rest: [],
    given: new Set<string>(),
  });
  const fixed = { every: '1', seed: '0', detection: '600', out: 'x' };
  const settings = settingsOf(line({ ...fixed, points: 'E3,F2-solo-sent', faults: 'cut-pb' }));
  t.deepEqual(settings.cells, [
    { point: 'E3-sealed', fault: 'cut-pb' },
    { point: 'F2-solo-sent', fault: 'cut-pb' },
  ]);
  t.is(settingsOf(line({ ...fixed, faults: 'all' })).cells.length, 31 * 35);
  const usage = { code: 'CURLING_USAGE' };
  t.throws(() => settingsOf(line({ ...fixed, points: 'E' })), usage);
  t.throws(() => settingsOf(line({ ...fixed, faults: 'kill' })), usage);
  const all = cellsOf(POINTS, USUAL_FAULTS);
  const parts = [0, 1, 2].map(seed => oneOf(all, 3, seed));
  t.is(new Set(parts.flat()).size, all.length, 'together they are all');
});

test('every commit tries other cells, failovers among them, and none twice', t => {
  for (const seed of [0, 1, 0xfffffff]) {
    const cells = cellsFor(seed);
    t.is(new Set(cells.map(({ point, fault }) => `${point} ${fault}`)).size, cells.length);
    const moves = cells.filter(({ point, fault }) => expected(point, fault).outcome === 'backup');
    t.true(moves.length >= 4);
    t.deepEqual(cellsFor(seed), cells);
  }
  t.notDeepEqual(cellsFor(1), cellsFor(2));
});
