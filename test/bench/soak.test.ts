/** What a soak remembers and how it judges: pure. */
import test from 'ava';
import { noFacts } from '../../bench/soak/facts.ts';
import { findingsOf, judgeTrends, type Watched } from '../../bench/soak/judge.ts';
import { grows, type Sample, Series, trendOf } from '../../bench/soak/series.ts';

/** One sample a second. */
function samples(seconds: number, valueAt: (atS: number) => number): Sample[] {
  return Array.from({ length: seconds }, (_, atS) => ({ atS, value: valueAt(atS) }));
}

function watched(part: Watched['part'], rssMib: readonly Sample[]): Watched {
  return { name: `a ${part}`, part, rssMib, fds: samples(rssMib.length, () => 20) };
}

const SAW = (atS: number) => 80 + (atS % 30);

test('a series of any length stays bounded, in order, and evenly thinned', t => {
  const series = new Series(64);
  for (let atS = 0; atS < 10_000; atS++) {
    series.add(atS, atS);
    t.true(series.samples.length <= 64);
  }
  const steps = series.samples.slice(1).map(({ atS }, index) => atS - series.samples[index]!.atS);
  t.is(new Set(steps).size, 1);
  t.true(series.samples.length >= 32);
  t.is(series.samples[0]!.atS, 0);
});

test('a trend compares thirds, and its slope is per hour', t => {
  const trend = trendOf(
    samples(360, atS => 100 + atS / 36),
    0,
  )!;
  t.true(Math.abs(trend.slopePerHour - 100) < 1e-6);
  t.true(trend.first < 102 && trend.last > 108);
  t.is(trendOf(samples(29, SAW), 0), undefined);
  t.is(trendOf(samples(100, SAW), 90), undefined);
  t.true(grows(trend, 0.05, 5));
  t.false(grows(trend, 0.05, 10), 'less than the slack');
  t.false(grows(trend, 0.1, 5), 'less than the share');
});

test('a leak is found, a heap that breathes and a warm-up are not', t => {
  const leaks = watched(
    'proxy',
    samples(600, atS => SAW(atS) + atS / 4),
  );
  const breathes = watched('coordinator', samples(600, SAW));
  const warms = watched(
    'witness',
    samples(600, atS => Math.min(40 + atS, 150)),
  );
  const guest = watched(
    'qemu',
    samples(600, atS => 100 + atS),
  );
  const judged = judgeTrends([leaks, breathes, warms, guest], 600, false);
  const grown = judged.filter(it => it.grown).map(({ name, what }) => `${name} ${what}`);
  t.deepEqual(grown, ['a proxy memory']);
  const files = { ...breathes, fds: samples(600, atS => 20 + Math.floor(atS / 20)) };
  t.deepEqual(
    judgeTrends([files], 600, false)
      .filter(it => it.grown)
      .map(it => it.what),
    ['files'],
  );
});

test('after faults a coordinator may keep one pool more, and no other process may', t => {
  const step = samples(600, atS => (atS < 300 ? 165 : 205));
  const grown = (part: Watched['part'], repaired: boolean) =>
    judgeTrends([watched(part, step)], 600, repaired).some(it => it.grown);
  t.deepEqual(
    [grown('coordinator', true), grown('coordinator', false), grown('proxy', true)],
    [false, true, true],
  );
});

test('a process that came after a fault warms up from then on', t => {
  const late = samples(300, atS => Math.min(40 + 2 * atS, 150)).map(({ atS, value }) => ({
    atS: atS + 300,
    value,
  }));
  t.deepEqual(
    judgeTrends([watched('proxy', late)], 600, true).filter(it => it.grown),
    [],
  );
});

test('whatever should not happen fails the soak, and provoked failovers do not', t => {
  const well = { ...noFacts(1), failovers: 2, records: 1000 };
  const failed = (facts: typeof well) =>
    findingsOf(facts, [])
      .filter(finding => !finding.ok)
      .map(finding => finding.text);
  t.deepEqual(failed(well), []);
  for (const wrong of [
    { failoversUnprovoked: 1 },
    { protectionsLostUnprovoked: 1 },
    { repeated: 1 },
    { records: 0 },
    { contradicted: 1 },
    { uncommitted: 1 },
    { connectionsLost: 1 },
    { bulkLost: 'reset' },
    { bulkWrongBytes: 1 },
    { inconclusive: 1 },
    { texts: ['the guest does not answer'] },
  ])
    t.is(failed({ ...well, ...wrong }).length, 1, JSON.stringify(wrong));
});
