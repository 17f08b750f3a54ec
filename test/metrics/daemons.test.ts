/** What the real daemons export: all of it is used and documented, and promtool has nothing to say. */
import fs from 'node:fs';
import test from 'ava';
import type { Dashboard } from '../../install/metrics/dashboard.ts';
import { parseExposition } from '../../install/metrics/exposition.ts';
import { metricTables, withTables } from '../../install/metrics/page.ts';
import { parseRules } from '../../install/metrics/rules-file.ts';
import { usageProblems } from '../../install/metrics/usage.ts';
import { inRepository } from '../../lab/paths.ts';
import { sampleOf } from '../system/metrics.ts';
import { coordinatorMetrics, proxyMetrics, witnessMetrics } from './daemons.ts';
import { HAS_PROMTOOL, promtool } from './promtool.ts';

const read = (file: string) => fs.readFileSync(inRepository(file), 'utf8');
const dashboard = JSON.parse(read('install/grafana/curling.json')) as Dashboard;
const alerts = parseRules(read('install/prometheus/curling.rules.yml'));
const asRoot = process.getuid?.() === 0 ? test : test.skip;

/** Labels of samples; all others would be a surprise for who pays for series. */
const LABELS = [
  ...['vm', 'tap', 'reason', 'state', 'role', 'event', 'percentile', 'le'],
  ...['effort', 'kind'],
];
const BUILD_LABELS = ['program', 'version', 'node'];

asRoot(
  'every metric of the real daemons is on a panel or in an alert, and in docs/metrics.md (needs root, namespaces)',
  async t => {
    const texts = {
      'curling-coordinator': await coordinatorMetrics(t),
      'curling-proxy': await proxyMetrics(t),
      'curling-witness': await witnessMetrics(t),
    };
    const outputs = Object.fromEntries(
      Object.entries(texts).map(([program, text]) => [program, parseExposition(text)]),
    );
    const families = Object.values(outputs).flat();
    t.deepEqual(usageProblems(families, { dashboard, alerts }), []);
    const page = read('docs/metrics.md');
    t.is(
      page,
      withTables(page, metricTables(outputs)),
      'npm run metrics -- COORDINATOR PROXY WITNESS writes it anew',
    );
    for (const { name, samples } of families) {
      const allowed = name === 'curling_build_info' ? [...LABELS, ...BUILD_LABELS] : LABELS;
      const labels = new Set(samples.flatMap(sample => Object.keys(sample.labels)));
      for (const label of labels) t.true(allowed.includes(label), `${name} has a label ${label}`);
    }
    const value = (name: string, labels: Record<string, string> = {}) =>
      sampleOf(families, name, labels);
    t.is(value('curling_running'), 1);
    t.is(value('curling_protected'), 0);
    t.is(value('curling_state', { state: 'SOLO' }), 1);
    t.is(value('curling_events_total', { event: 'PROTECTION_LOST' }), 1);
    t.true(Date.now() / 1_000 - value('curling_unprotected_since_timestamp_seconds')! < 60);
    t.is(value('curling_proxy_state', { state: 'hold' }), 1);
    t.true(value('curling_buffer_limit_bytes')! > 1 << 20);
    t.is(value('curling_witness_machines_limit'), 1_024);
    if (!HAS_PROMTOOL) return;
    for (const text of Object.values(texts)) t.is(await promtool(['check', 'metrics'], text), '');
  },
);
