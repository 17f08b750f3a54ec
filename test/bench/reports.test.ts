import test from 'ava';
import { cellsOf } from '../../bench/harness/cells.ts';
import type { Results } from '../../bench/harness/results.ts';
import { summarise } from '../../bench/harness/statistics.ts';
import { numberText, spreadText } from '../../bench/report/format.ts';
import { pageHtml } from '../../bench/report/html.ts';
import { benchmarksMarkdown, escapeMarkdown } from '../../bench/report/markdown.ts';
import { barPlots, isLinear, linePlots } from '../../bench/report/plots.ts';
import { experimentText, summaryText } from '../../bench/report/terminal.ts';
import { paintFor, wrap } from '../../bench/report/text.ts';
import { NotRunnable } from '../../bench/scenario.ts';
import { escapeText, html, scriptJson } from '../../common/markup.ts';
import * as markdown from '../docs/markdown.ts';
import {
  DELAY,
  experimentOf,
  resultsOf,
  runDoubles,
  runExperimentDouble,
  SPEED,
  scenarioOf,
} from './doubles.ts';

const EVIL = `<img src=x onerror="alert('&')"></script><!--`;
const GOALS = [
  { variant: 'open', metric: 'speed', of: 'ratio', min: 0.9 },
  { variant: 'open', metric: 'delay', of: 'value', max: 1 },
] as const;

/** Goals met and not, a variant that cannot run, and nasty words everywhere. */
function nasty(): Promise<Results> {
  const values = (variant: string) => {
    if (variant === 'hold') throw new NotRunnable(`${EVIL}\n\`\`\`\n| --no-such-option`);
    return { speed: 12.345, delay: 40 };
  };
  const bars = experimentOf(values, {
    title: `Title ${EVIL}`,
    about: `About ${EVIL}`,
    goals: GOALS,
    variants: experimentOf(values).variants.map(variant => ({
      ...variant,
      title: `${variant.title} ${EVIL}`,
    })),
  });
  const lines = experimentOf((_, call) => ({ speed: call + 1 }), {
    id: 'double/two',
    title: 'Steps',
    axis: { title: `frames ${EVIL}`, unit: '', logarithmic: true },
    variants: [
      { id: 'bridge', title: 'Bridge' },
      { id: 'one', title: 'One', x: 1, series: EVIL },
      { id: 'ten', title: 'Ten', x: 10, series: EVIL },
    ],
  });
  const scenario = { ...scenarioOf(bars, lines), question: EVIL, title: `Doubles ${EVIL}` };
  return runDoubles([scenario]);
}

test('figures have three digits, large ones are grouped', t => {
  const texts = [0, 0.0001234, 0.0456, 1, 12.345, 999.4, 999.6, 1234567, -1500].map(numberText);
  t.deepEqual(texts, [
    '0',
    '1.2e-4',
    '0.0456',
    '1.00',
    '12.3',
    '999',
    '1\u202f000',
    '1\u202f234\u202f567',
    '-1\u202f500',
  ]);
  t.is(spreadText(summarise([80, 100, 120])), '±10%');
  t.is(spreadText(summarise([5])), '');
  t.is(spreadText(summarise([0, 0])), '');
});

test('markup escapes what is put in, and joins lists', t => {
  t.is(escapeText(`<a b="c">'&`), '&lt;a b=&quot;c&quot;&gt;&#39;&amp;');
  const list = ['<', html`<b>${'&'}</b>`, null, false] as const;
  t.is(html`<p>${list}${7}</p>`.html, '<p>&lt;<b>&amp;</b>7</p>');
  t.deepEqual(JSON.parse(scriptJson(EVIL).html), EVIL);
  t.false(scriptJson(EVIL).html.includes('<'));
});

test('the page escapes every text', async t => {
  const page = pageHtml(await nasty());
  t.false(page.includes('<img'));
  t.true(page.split(escapeText(EVIL)).length > 8);
  // The scripts of the page, and nothing that ends one of them early.
  t.is(page.split('<script').length, page.split('</script>').length);
  t.is(page.split('<script').length, 4);
});

test('the page needs nothing else: no references to load, and its data is inside', async t => {
  const page = pageHtml(await nasty());
  t.notRegex(page, /<(link|iframe|img|object|embed|base)\b/);
  t.notRegex(page, /\b(src|srcset|data|action)=["']?(https?:)?\//i);
  t.notRegex(page, /@import|url\(|\bfetch\(|XMLHttpRequest|import\(/);
  for (const [, link] of page.matchAll(/href="([^"]*)"/g)) {
    t.true(link!.startsWith('#'), link);
    t.true(page.includes(`id="${link!.slice(1)}"`), `${link} leads somewhere`);
  }
  const data = /<script type="application\/json" id="plots">(.*?)<\/script>/s.exec(page)![1]!;
  const plots = JSON.parse(data);
  t.is(plots.length, 1);
  t.is(page.split('data-plot="0"').length, 2);
  t.deepEqual(
    plots[0].series[0].points.map((point: { x: number }) => point.x),
    [1, 10],
  );
  t.is(plots[0].levels[0].name, 'Bridge');
});

test('the page says how many goals are met, and shows dark and light', async t => {
  const page = pageHtml(await nasty());
  t.regex(page, /<span class="pill met">1 met<\/span>/);
  t.regex(page, /<span class="pill not-met">1 not met<\/span>/);
  t.regex(page, /prefers-color-scheme: dark/);
  t.regex(page, /name="viewport"/);
  t.regex(page, /Imaginary 9000, 2 cores/);
});

test('the page of nothing is a page', t => {
  t.regex(pageHtml(resultsOf()), /<\/html>/);
});

test('steps of a quantity are lines, everything else bars', async t => {
  const step = (x?: number) => ({ id: `v${x}`, title: 'V', ...(x === undefined ? {} : { x }) });
  t.true(isLinear([step(1), step(2), step()]));
  t.false(isLinear([step(1), step()]));
  t.false(isLinear([step(1), step(1)]));
  const result = await runExperimentDouble(experimentOf(() => ({ speed: 3 }), { goals: GOALS }));
  const [plot] = barPlots(result, cellsOf(result));
  t.deepEqual([plot!.metric.id, plot!.bars.length], ['speed', 3]);
  t.deepEqual(plot!.bars[1], {
    ...{ name: 'Unprotected', baseline: false, median: 3, q1: 3, q3: 3 },
    bounds: [2.7],
  });
  t.deepEqual(linePlots(result, cellsOf(result)), []);
});

test('the tables of the terminal fit into 100 columns, without colours', async t => {
  const metrics = [SPEED, DELAY, 'c', 'd', 'e', 'f'].map(metric =>
    typeof metric === 'string'
      ? { ...SPEED, id: metric, title: `A long title of ${metric}` }
      : metric,
  );
  const values = { speed: 1.5, delay: 40, c: 123456.7, d: 0.001, e: 5, f: 6 };
  const result = await runExperimentDouble(
    experimentOf(variant => (variant === 'hold' ? { ...values, speed: 0.9 } : values), {
      metrics,
      goals: [{ variant: 'hold', metric: 'speed', of: 'ratio', min: 0.65 }],
      about: 'word '.repeat(60),
    }),
  );
  const text = experimentText(result);
  t.deepEqual(
    text.split('\n').filter(line => line.length > 100),
    [],
  );
  t.regex(text, /0\.900 ±0% +│/);
  t.regex(text, /0\.600x ±0% ✗/);
  t.false(text.includes('\x1b'));
  t.true(experimentText(result, paintFor({ isTTY: true }, {})).includes('\x1b[31m✗\x1b[0m'));
  t.is(paintFor({ isTTY: true }, { NO_COLOR: '1' })('red', 'x'), 'x');
  t.is(paintFor({}, {})('red', 'x'), 'x');
});

test('the terminal gives the reasons and counts the goals', async t => {
  const results = await nasty();
  const text = experimentText(results.scenarios[0]!.experiments[0]!);
  t.regex(text, /! hold not-runnable: <img/);
  t.regex(summaryText(results), /✓ met {2}double\/one open: Speed 1\.00x \(goal ≥ 0\.9x\)/);
  t.regex(summaryText(results), /goals: 1 met, 1 not met, 0 cannot tell/);
});

test('the document has one title, whole tables, and the reasons in fences they cannot end', async t => {
  const text = benchmarksMarkdown(await nasty());
  t.is(markdown.headings(text).filter(({ level }) => level === 1).length, 1);
  const lines = markdown.withoutFences(text).split('\n');
  const cells = (line: string) => line.replaceAll('\\|', '').split('|').length;
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith('|')) continue;
    const head = lines.slice(0, index + 1).findLastIndex(before => !before.startsWith('|')) + 1;
    t.is(cells(line), cells(lines[head]!), line);
  }
  t.false(/(?<!\\)<img/.test(text.replace(/^ {2}`{4}text$.*?^ {2}`{4}$/gms, '')));
  t.regex(text, /^ {2}````text\n {2}<img/m);
  for (const heading of [
    'The machine',
    'Goals',
    'What did not run, and why',
    'How to reproduce this',
  ])
    t.regex(text, new RegExp(`^## ${heading}$`, 'm'));
  t.regex(text, /12\.3 ±0%<br>1\.00x ±0% ✓/);
});

test('Markdown escapes what would be markup', t => {
  t.is(escapeMarkdown('a|b *c* `d` <e>\n[f]'), 'a\\|b \\*c\\* \\`d\\` \\<e\\> \\[f\\]');
});

test('lines break at blanks', t => {
  t.deepEqual(wrap('aa bb cc', 5), ['aa bb', 'cc']);
  t.deepEqual(wrap('aaaaaaa b\n\nc', 3), ['aaaaaaa', 'b', '', 'c']);
});
