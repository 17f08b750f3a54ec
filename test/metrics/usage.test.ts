/** How metrics, dashboard, alerts and docs/metrics.md are compared, and what the dashboard has to be. */
import fs from 'node:fs';
import test from 'ava';
import { EVENTS } from '../../coordinator/notices.ts';
import {
  type Dashboard,
  expressionsOf,
  type Panel,
  panelsOf,
} from '../../install/metrics/dashboard.ts';
import { parseExposition } from '../../install/metrics/exposition.ts';
import { withTables } from '../../install/metrics/page.ts';
import { parseRules } from '../../install/metrics/rules-file.ts';
import { usageProblems } from '../../install/metrics/usage.ts';
import { inRepository } from '../../lab/paths.ts';
import * as markdown from '../docs/markdown.ts';

const read = (file: string) => fs.readFileSync(inRepository(file), 'utf8');
const dashboard = JSON.parse(read('install/grafana/curling.json')) as Dashboard;
const alerts = parseRules(read('install/prometheus/curling.rules.yml'));

const TEXT = `# HELP curling_frames_total Frames, "all" of them.
# TYPE curling_frames_total counter
curling_frames_total{reason="a\\"b}",tap="tap0"} 3
curling_frames_total{reason="c",tap="tap0"} 0

# HELP curling_delay_seconds Delay.
# TYPE curling_delay_seconds histogram
curling_delay_seconds_bucket{le="+Inf"} 2
curling_delay_seconds_sum 0.5
curling_delay_seconds_count 2
`;

test('what a daemon exports is read with its labels, and nothing else is taken for it', t => {
  const [frames, delay] = parseExposition(TEXT);
  t.is(frames!.type, 'counter');
  t.deepEqual(frames!.samples[0]!.labels, { reason: 'a\\"b}', tap: 'tap0' });
  t.is(frames!.samples[0]!.value, 3);
  t.is(delay!.samples.length, 3);
  for (const line of ['curling_other 1', 'curling_frames_total', '# TYPE curling_other gauge'])
    t.throws(() => parseExposition(`${TEXT}${line}\n`), undefined, line);
});

test('a metric that nobody looks at is found, and a panel or alert that asks for what is not there', t => {
  const families = parseExposition(TEXT);
  const panel = (expr: string): Panel => ({
    ...{ id: 1, type: 'timeseries', title: 'One', gridPos: { x: 0, y: 0, w: 1, h: 1 } },
    targets: [{ expr, refId: 'A' }],
  });
  const row = {
    ...panel(''),
    targets: [],
    panels: [panel('rate(curling_delay_seconds_bucket[1m])')],
  };
  const page = { ...dashboard, templating: { list: [] }, panels: [row] };
  const alert = { ...alerts[0]!, name: 'Frames', expr: 'curling_frames_total > 1' };
  t.deepEqual(usageProblems(families, { dashboard: page, alerts: [alert] }), []);
  t.deepEqual(usageProblems(families, { dashboard: page, alerts: [] }), [
    'curling_frames_total is on no panel and in no alert',
  ]);
  const wrong = { ...alert, expr: 'curling_frames_total > curling_frame_total' };
  const asks = { ...page, panels: [panel('curling_delay_seconds')] };
  t.deepEqual(usageProblems(families, { dashboard: asks, alerts: [wrong] }), [
    'panel "One" asks for curling_delay_seconds, which no daemon exports',
    'alert Frames asks for curling_frame_total, which no daemon exports',
    'curling_delay_seconds is on no panel and in no alert',
  ]);
});

test('a table of the page is replaced, and one that is not there is missed', t => {
  const page = '# T\n\n## Every daemon\n\nWords.\n\n| a |\n|---|\n\n## more\n\n| b |\n';
  t.is(
    withTables(page, { 'Every daemon': '| x |\n|---|\n| y |' }),
    page.replace('| a |\n|---|\n', '| x |\n|---|\n| y |\n'),
  );
  t.throws(() => withTables(page, { other: '' }), { message: /no table below "## other"/ });
});

test('the dashboard can be imported: its panels have their own ids and places, and ask who is chosen', t => {
  t.is(dashboard.uid, 'curling');
  t.is(dashboard.templating.list[0]!.type, 'datasource');
  const panels = panelsOf(dashboard);
  t.is(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const { title, type, datasource } of panels)
    if (type !== 'row') t.is(datasource?.uid, '$' + '{datasource}', title);
  t.true(expressionsOf(dashboard).length > 100);
  const taken = new Set<string>();
  for (const { gridPos: at, title } of dashboard.panels) {
    t.true(at.x + at.w <= 24, title);
    for (let x = at.x; x < at.x + at.w; x++)
      for (let y = at.y; y < at.y + at.h; y++) {
        t.false(taken.has(`${x} ${y}`), `${title} covers another panel`);
        taken.add(`${x} ${y}`);
      }
  }
});

test('every event of a coordinator is counted from 0 on', t => {
  const documented = markdown.rowNames(
    markdown.section(read('docs/protocol.md'), '### Coordinator events'),
  );
  t.deepEqual([...EVENTS].sort(), documented.sort());
});
