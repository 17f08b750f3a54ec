import test from 'ava';
import { loadBetween, ownTicks, parseCpuLine, parseProcessLine } from '../../bench/harness/load.ts';

test('/proc/stat: all time, that of processes, and what the hypervisor took', t => {
  const text = 'cpu  100 5 50 800 10 3 7 25 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n';
  t.deepEqual(parseCpuLine(text), { total: 1000, processes: 155, steal: 25 });
});

test('/proc/PID/stat: names may hold blanks and parentheses', t => {
  const text = '42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 3 4 20 0 1 0';
  t.deepEqual(parseProcessLine(text), { pid: 42, parent: 7, ticks: 37 });
  t.is(parseProcessLine(''), undefined);
});

const PROCESSES = [
  { pid: 1, parent: 0, ticks: 1000 },
  { pid: 2, parent: 0, ticks: 1 },
  { pid: 20, parent: 2, ticks: 2 },
  { pid: 100, parent: 1, ticks: 4 },
  { pid: 101, parent: 100, ticks: 8 },
  { pid: 200, parent: 1, ticks: 16 },
  { pid: 300, parent: 1, ticks: 32 },
  { pid: 400, parent: 401, ticks: 64 },
  { pid: 401, parent: 400, ticks: 128 },
];

test('ours are descendants, what is marked, and kernel threads', t => {
  const own = ownTicks(PROCESSES, 100, pid => pid === 200);
  t.deepEqual([...own.keys()], [2, 20, 100, 101, 200]);
  t.deepEqual(
    [...own.values()].map(({ inherited }) => inherited),
    [true, true, true, true, false],
  );
});

test('what is not ours and not idle is foreign; ended children count with their parents', t => {
  const marked = (pid: number) => pid === 200;
  const before = { total: 0, processes: 0, steal: 0, ours: ownTicks(PROCESSES, 100, marked) };
  // 101 ended and was reaped by 100, after 10 ticks more; 200 ended, and nobody knows what it took.
  const now = PROCESSES.filter(({ pid }) => pid !== 101 && pid !== 200).map(process =>
    process.pid === 100 ? { ...process, ticks: 4 + 8 + 10 } : process,
  );
  const after = { total: 200, processes: 60, steal: 6, ours: ownTicks(now, 100, marked) };
  t.deepEqual(loadBetween(before, after), { stealPercent: 3, foreignPercent: 25 });
  t.deepEqual(loadBetween(after, after), { stealPercent: 0, foreignPercent: 0 });
});
