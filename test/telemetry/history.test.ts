import test from 'ava';
import { HOST_STATES } from '../../coordinator/arbitration/host-state.ts';
import { History, type HistoryDocument } from '../../coordinator/history.ts';
import { STATES_BY_CONCERN } from '../../coordinator/history-interval.ts';
import type { HistoryRows } from '../../coordinator/history-series.ts';

const WALL = 1_795_000_000_000;
const START = 5_000.25;

function begin(): History {
  return new History('run1', 'JOIN', START);
}

/** All that there is, as a page would collect it. */
function readAll(history: History, now: number, cursor?: string): HistoryDocument[] {
  const documents = [history.read(now, WALL, cursor)];
  while (documents.at(-1)!.more) documents.push(history.read(now, WALL, documents.at(-1)!.cursor));
  return documents;
}

function rowsOf(documents: HistoryDocument[], series: 'fine' | 'coarse'): HistoryRows['columns'] {
  const [first, ...rest] = documents.map(document => document[series].columns);
  for (const columns of rest)
    for (const [name, values] of Object.entries(columns))
      first![name as keyof HistoryRows['columns']].push(...values);
  return first!;
}

test('an interval has its own percentiles, and a row when it is over', t => {
  const history = begin();
  for (const pause of [1, 2, 3, 100]) history.staged(pause, 4096, 1, 1, START + 10);
  history.staged(4, 4096, 2, 3, START + 20);
  history.committed(8, START + 30);
  history.committed(16, START + 30);
  history.released(20, START + 40);
  history.held(700, START + 50);
  history.held(600, START + 60);
  history.state('PROT', START + 70);
  t.is(history.read(START + 999, WALL).fine.columns.state.length, 0);
  history.staged(50, 10, 1, 1, START + 1_500);
  const { fine } = history.read(START + 2_000, WALL);
  const near = (value: number | null | undefined, wanted: number) =>
    t.true(Math.abs(value! - wanted) <= wanted * 0.01, `${value} is not ${wanted}`);
  const { columns } = fine;
  near(columns.pauseP50[0], 3);
  near(columns.pauseP99[0], 100);
  t.is(columns.pauseMax[0], 100);
  near(columns.commitP50[0], 8);
  near(columns.delayP99[0], 20);
  t.deepEqual(columns.epochs, [2, 0]);
  t.deepEqual(columns.checkpointBytes, [5 * 4096, 10]);
  t.deepEqual(columns.dirtyPages, [6, 1]);
  t.deepEqual(columns.lag, [3, 1]);
  t.deepEqual(columns.heldBytes, [700, null]);
  near(columns.pauseP50[1], 50);
  t.deepEqual([columns.delayMax[1], columns.commitP50[1]], [null, null]);
  t.deepEqual(columns.state, [
    STATES_BY_CONCERN.indexOf('JOIN'),
    STATES_BY_CONCERN.indexOf('PROT'),
  ]);
});

test('a state that lasted less than an interval is told when it is of more concern', t => {
  const history = begin();
  history.state('PROT', START);
  history.state('PRES', START + 1_200);
  history.state('PROT', START + 1_300);
  const documents = readAll(history, START + 15_000);
  const states = (series: 'fine' | 'coarse') =>
    rowsOf(documents, series).state.map(state => STATES_BY_CONCERN[state!]);
  t.deepEqual(states('fine').slice(1, 3), ['PRES', 'PROT']);
  t.deepEqual(states('coarse'), ['PRES']);
});

test('15 seconds are made from all values in them, not from those of seconds', t => {
  const history = begin();
  for (let i = 0; i < 100; i++) history.staged(1, 1, 1, 1, START + 100);
  history.staged(900, 1, 1, 1, START + 14_000);
  history.released(5, START + 14_999);
  const { coarse } = readAll(history, START + 30_000)[0]!;
  t.is(coarse.intervalMs, 15_000);
  t.true(coarse.columns.pauseP50[0]! < 1.1);
  t.true(coarse.columns.pauseP99[0]! < 1.1);
  t.is(coarse.columns.pauseMax[0], 900);
  t.deepEqual(coarse.columns.checkpointBytes, [101, 0]);
  t.is(coarse.columns.delayMax[0], 5);
});

test('rows come once each and in order, in pieces, and say when they were', t => {
  const history = begin();
  for (let second = 0; second < 700; second++)
    history.staged(1, second + 1, 1, 1, START + second * 1_000 + 1);
  const documents = readAll(history, START + 700_000);
  t.deepEqual(
    documents.map(({ reset }) => reset),
    [true, false, false],
  );
  for (const { fine } of documents) {
    t.true(fine.columns.state.length <= 300);
    t.is(fine.firstAt, WALL - 700_000 + fine.first * 1_000);
    t.is(fine.columns.checkpointBytes[0], fine.first + 1);
  }
  const { cursor } = documents.at(-1)!;
  const rows = rowsOf(documents, 'fine');
  t.deepEqual(
    rows.checkpointBytes,
    Array.from({ length: 700 }, (_, i) => i + 1),
  );
  const nothing = history.read(START + 700_900, WALL, cursor);
  t.is(nothing.fine.columns.state.length + nothing.coarse.columns.state.length, 0);
  t.is(nothing.cursor, cursor);
  const next = history.read(START + 701_000, WALL, cursor);
  t.is(next.fine.first, 700);
  t.is(next.fine.columns.state.length, 1);
});

test('the oldest rows are forgotten, also when nobody recorded or read for days', t => {
  const history = begin();
  history.staged(1, 77, 1, 1, START);
  const days = 3 * 86_400_000;
  history.staged(1, 99, 1, 1, START + days);
  const documents = readAll(history, START + days + 1_000);
  const fine = rowsOf(documents, 'fine').checkpointBytes;
  t.is(fine.length, 900);
  t.is(fine.at(-1), 99);
  t.false(fine.includes(77));
  const coarse = rowsOf(documents, 'coarse').checkpointBytes;
  t.is(coarse.length, 1_440);
  t.false(coarse.includes(77));
  const last = documents.at(-1)!.fine;
  t.is(last.firstAt + last.columns.state.length * 1_000, WALL);
});

test('a cursor of another run, or none at all, reads from the beginning', t => {
  const history = begin();
  for (const cursor of ['', 'run2.5.0', 'run1.5', 'run1.-1.0', 'run1.1e3.0', 'x'.repeat(10_000)]) {
    const document = history.read(START + 3_000, WALL, cursor);
    t.true(document.reset, cursor);
    t.is(document.fine.columns.state.length, 3);
  }
  const ahead = history.read(START + 3_000, WALL, 'run1.99999999.99999999');
  t.is(ahead.fine.columns.state.length, 0);
  t.is(ahead.cursor, 'run1.3.0');
});

test('every state of a host has its place', t => {
  t.deepEqual([...STATES_BY_CONCERN].sort(), [...HOST_STATES].sort());
});
