import test from 'ava';
import { Registry } from 'prom-client';
import { Distribution } from '../../common/distribution.ts';
import {
  BUCKETS_MS,
  byReason,
  counterFamilies,
  exportFamilies,
  type Family,
  oneOf,
} from '../../common/metric-families.ts';
import { parseExposition } from '../../install/metrics/exposition.ts';

interface Source {
  counters: { linesTooLong: number; refused: number };
  pause: Distribution;
}

const FAMILIES: Family<Source>[] = [
  ...counterFamilies<Source['counters'], Source>(
    'curling_x_',
    { linesTooLong: 'Too long.', refused: 'Refused.' },
    source => source.counters,
  ),
  { name: 'curling_pause_seconds', type: 'histogram', help: 'Pause.', read: ({ pause }) => pause },
  { name: 'curling_none', type: 'gauge', help: 'Nothing now.', read: () => undefined },
  {
    name: 'curling_state',
    type: 'gauge',
    help: 'One.',
    read: () => oneOf('state', ['a', 'b'], 'b'),
  },
  { name: 'curling_by_total', type: 'counter', help: 'By.', read: () => byReason({ c: 4 }) },
];

async function exposed(source: Source | undefined) {
  const registry = new Registry();
  registry.setDefaultLabels({ vm: 'web' });
  exportFamilies(registry, FAMILIES, () => source);
  return parseExposition(await registry.metrics());
}

function source(): Source {
  return { counters: { linesTooLong: 2, refused: 0 }, pause: new Distribution() };
}

test('counters are called as they are in the code, and all are there', async t => {
  const families = await exposed(source());
  t.deepEqual(
    families.map(({ name, type }) => `${name} ${type}`),
    [
      'curling_x_lines_too_long_total counter',
      'curling_x_refused_total counter',
      'curling_pause_seconds histogram',
      'curling_none gauge',
      'curling_state gauge',
      'curling_by_total counter',
    ],
  );
  t.deepEqual(families[0]!.samples[0]!.labels, { vm: 'web' });
  t.is(families[0]!.samples[0]!.value, 2);
  t.deepEqual(families[3]!.samples, []);
  t.deepEqual(
    families[4]!.samples.map(({ labels, value }) => `${labels.state} ${value}`),
    ['a 0', 'b 1'],
  );
  t.deepEqual(families[5]!.samples[0]!.labels, { reason: 'c', vm: 'web' });
});

test('a histogram counts what is at most the end of each bucket', async t => {
  const from = source();
  const values = [0.3, 0.5, 0.51, 4, 9_000, 100_000];
  for (const value of values) from.pause.record(value);
  const samples = (await exposed(from))[2]!.samples;
  t.is(BUCKETS_MS[0], 0.5);
  for (const { labels, value } of samples.filter(({ name }) => name.endsWith('_bucket'))) {
    const le = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le) * 1_000;
    t.is(value, values.filter(each => each <= le).length, labels.le);
  }
  t.is(samples.find(({ name }) => name.endsWith('_count'))!.value, 6);
  t.true(Math.abs(samples.find(({ name }) => name.endsWith('_sum'))!.value - 109.00531) < 1e-6);
});

test('without a source everything is listed, and nothing has a value', async t => {
  const families = await exposed(undefined);
  t.is(families.length, FAMILIES.length);
  t.deepEqual(
    families.flatMap(({ samples }) => samples),
    [],
  );
});
