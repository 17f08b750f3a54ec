/** The alerts: what promtool says of them, and that each one fires when it should and not otherwise. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Dashboard, expressionsOf } from '../../install/metrics/dashboard.ts';
import { parseRules } from '../../install/metrics/rules-file.ts';
import { inRepository } from '../../lab/paths.ts';
import * as markdown from '../docs/markdown.ts';
import { ALERT_CASES } from './alerts.ts';
import { HAS_PROMTOOL, promtool } from './promtool.ts';

const RULES = inRepository('install/prometheus/curling.rules.yml');
const alerts = parseRules(fs.readFileSync(RULES, 'utf8'));
const withPromtool = HAS_PROMTOOL ? test : test.skip;

/** A file in a folder of its own. */
function written(t: ExecutionContext, name: string, text: string): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-rules-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  return file;
}

function count(alert: string, state: string): string {
  return `count(ALERTS{alertname="${alert}",alertstate="${state}"}) or vector(0)`;
}

/** One test of promtool: whether `alert` fires with these series, a sample every 15 s. */
function promtoolTest(
  alert: string,
  series: Record<string, string>,
  minutes: number,
  fires: 0 | 1,
) {
  return {
    interval: '15s',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: count(alert, 'firing'),
        eval_time: `${minutes}m`,
        exp_samples: [{ labels: '{}', value: fires }],
      },
    ],
  };
}

test('every alert has its words, a section of docs/operations.md, and no section is left over', t => {
  const operations = fs.readFileSync(inRepository('docs/operations.md'), 'utf8');
  const sections = markdown
    .headings(markdown.section(operations, '## Alerts'))
    .map(({ title }) => title);
  t.deepEqual(
    sections,
    alerts.map(({ name }) => name),
  );
  for (const { name, severity, summary, description, runbook } of alerts) {
    t.true(['critical', 'warning'].includes(severity), name);
    t.true(summary.length > 10 && description.length > 10, name);
    t.is(runbook, `docs/operations.md#${markdown.anchorOf(name)}`);
    t.true(markdown.section(operations, `### ${name}`).trim().length > 60, name);
  }
});

test('every alert is tried with series that make it fire and with series that do not', t => {
  t.deepEqual(Object.keys(ALERT_CASES).sort(), alerts.map(({ name }) => name).sort());
});

withPromtool('promtool takes the rules, and the example of how to scrape', async t => {
  t.regex(await promtool(['check', 'rules', RULES]), /SUCCESS: \d+ rules found/);
  const scrape = fs.readFileSync(inRepository('install/prometheus/scrape.yml'), 'utf8');
  const config = written(t, 'prometheus.yml', `rule_files: ['${RULES}']\n${scrape}`);
  t.regex(await promtool(['check', 'config', config]), /SUCCESS/);
});

withPromtool('every panel of the dashboard asks in PromQL', async t => {
  const text = fs.readFileSync(inRepository('install/grafana/curling.json'), 'utf8');
  const rules = expressionsOf(JSON.parse(text) as Dashboard)
    .filter(({ where }) => where.startsWith('panel'))
    .map(({ expr }, at) => ({ record: `panel_${at}`, expr: asPrometheus(expr) }));
  const check = (all: object[]) =>
    promtool(['check', 'rules', written(t, 'panels.yml', grouped(all))]);
  t.regex(await check(rules), new RegExp(`SUCCESS: ${rules.length} rules found`));
  await t.throwsAsync(check([...rules, { record: 'wrong', expr: 'rate(curling_x)' }]));
});

/** What Grafana puts in the place of its variables. */
function asPrometheus(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(vm|tap)\b/g, '.*');
}

function grouped(rules: object[]): string {
  return JSON.stringify({ groups: [{ name: 'panels', rules }] });
}

withPromtool('each alert fires when it should, and is quiet otherwise', async t => {
  const tests = Object.entries(ALERT_CASES).flatMap(([name, { fires, quiet, minutes = 5 }]) => [
    promtoolTest(name, fires, minutes, 1),
    promtoolTest(name, quiet, minutes, 0),
  ]);
  // promtool reads YAML, of which JSON is a part.
  const text = JSON.stringify({ rule_files: [RULES], evaluation_interval: '15s', tests });
  const said = await promtool(['test', 'rules', written(t, 'tests.yml', text)]).catch(String);
  t.regex(said, /SUCCESS/);
});

withPromtool('the test of the alerts can fail', async t => {
  const { quiet } = ALERT_CASES.CurlingUnprotected!;
  const wrong = promtoolTest('CurlingUnprotected', quiet, 5, 1);
  const text = JSON.stringify({
    rule_files: [RULES],
    evaluation_interval: '15s',
    tests: [wrong],
  });
  await t.throwsAsync(promtool(['test', 'rules', written(t, 'tests.yml', text)]), {
    message: /FAILED/,
  });
});
