/** docs/benchmarks.md: the report of a full run, to be read in the repository. */
import { durationText } from '../harness/estimate.ts';
import { type Findings, findingsOf } from '../harness/findings.ts';
import { type ExperimentResults, experimentsOf, type Results } from '../harness/results.ts';
import type { Metric } from '../scenario.ts';
import { goalText, MARKS, metricTitle, numberText, spreadText, tellsText } from './format.ts';
import { machineRows } from './machine-rows.ts';
import { verdictCounts } from './terminal.ts';
import { wrap } from './text.ts';

const COLUMNS = 100;
/** What would be read as markup, or end a cell. */
const SPECIAL = /[\\`*_{}[\]<>#|~]/g;

/** Plain text in Markdown. */
export function escapeMarkdown(text: string): string {
  return text.replace(SPECIAL, '\\$&').replace(/\s*\n\s*/g, ' ');
}

/** The whole document, from the results of a full run. */
export function benchmarksMarkdown(results: Results): string {
  return [
    '# Benchmarks',
    '',
    '<!-- Written by `npm run bench -- --docs` from a full run; do not edit. -->',
    '',
    ...paragraph(INTRODUCTION),
    ...machine(results),
    ...goals(results),
    ...results.scenarios.flatMap(({ title, question, experiments }) => [
      `## ${escapeMarkdown(title)}`,
      '',
      ...paragraph(escapeMarkdown(question)),
      ...experiments.flatMap(experimentLines),
    ]),
    ...notRun(results),
    ...noisy(results),
    ...REPRODUCE,
    '',
  ].join('\n');
}

const INTRODUCTION =
  'Every figure here was measured in one run on one machine. The variants of a table ran in turns, round after round. ' +
  'A cell has the median over the rounds with half the distance of the quartiles, and below it the median of the ratios ' +
  'to the baseline of the same round. Compare ratios rather than absolute values: the speed of a machine drifts. ' +
  'Goals: ✓ met, ✗ not met, ? cannot tell, because the rounds lie on both sides of the bound.';

const REPRODUCE = [
  '## How to reproduce this',
  '',
  'On Debian 12 or 13, as root:',
  '',
  '```sh',
  'npm run bench                                # everything',
  'npm run bench -- --quick                     # an impression, in a few minutes',
  'npm run bench -- --list                      # what there is, and how long it takes',
  'npm run bench -- --compare build/bench/old.json   # what moved since an older results.json',
  'npm run bench -- --docs                      # everything, and this page anew',
  '```',
  '',
  ...wrap(
    'The results are in `build/bench/results.json`, with every single value, and in `build/bench/report.html`, a page ' +
      'with plots that needs nothing else.',
    COLUMNS,
  ),
];

function paragraph(text: string): string[] {
  return [...wrap(text, COLUMNS), ''];
}

function machine(results: Results): string[] {
  const when = `${results.started.slice(0, 10)}, in ${durationText(results.seconds)}`;
  const rows = machineRows(results).map(([name, text]) => `| ${name} | ${escapeMarkdown(text)} |`);
  return ['## The machine', '', `Measured on ${when}.`, '', '| | |', '|---|---|', ...rows, ''];
}

function goals(results: Results): string[] {
  const rows = experimentsOf(results).flatMap(experiment =>
    findingsOf(experiment).verdicts.map(verdict => {
      const metric = experiment.metrics.find(({ id }) => id === verdict.metric);
      const variant = experiment.variants.find(({ id }) => id === verdict.variant);
      const unit = verdict.of === 'ratio' ? 'x' : ` ${metric?.unit ?? ''}`;
      const value = verdict.median === null ? '–' : `${numberText(verdict.median)}${unit}`.trim();
      const what = escapeMarkdown(`${variant?.title}: ${metric?.title} (${experiment.id})`);
      const why = verdict.reason ? `, ${verdict.reason}` : '';
      const word = `${MARKS[verdict.word]} ${verdict.word}${why}`;
      return `| ${what} | ${value} | ${goalText(verdict, metric)} | ${word} |`;
    }),
  );
  if (rows.length === 0) return [];
  const counts = verdictCounts(results);
  const summary = `${counts.met} met, ${counts['not met']} not met, ${counts['cannot tell']} cannot tell.`;
  const head = ['| | measured | goal | |', '|---|---:|---:|---|'];
  return ['## Goals', '', summary, '', ...head, ...rows, ''];
}

function experimentLines(experiment: ExperimentResults): string[] {
  const findings = findingsOf(experiment);
  const { id, title, about, metrics, variants, reason, outcome } = experiment;
  const lines = [`### ${escapeMarkdown(title)}`, '', ...paragraph(escapeMarkdown(about))];
  if (variants.some(({ runs }) => runs.length > 0)) {
    const heads = metrics.map(metric => escapeMarkdown(metricTitle(metric)));
    lines.push(`| \`${id}\` | ${heads.join(' | ')} |`, `|---|${'---:|'.repeat(metrics.length)}`);
    for (const variant of variants) {
      const base = variant.id === experiment.baseline ? ' (baseline)' : '';
      const cells = metrics.map(metric => cellText(variant.id, metric, findings));
      lines.push(`| ${escapeMarkdown(variant.title)}${base} | ${cells.join(' | ')} |`);
    }
    lines.push('');
  }
  if (reason) lines.push(...paragraph(`The experiment is ${outcome}: ${escapeMarkdown(reason)}`));
  const tells = tellsText(metrics, findings.noise.tellsPercent);
  const count = `${experiment.rounds.length} rounds`;
  const can = tells ? `; can tell differences above: ${escapeMarkdown(tells)}` : '';
  return [...lines, ...paragraph(`${count}${can}.`)];
}

function cellText(variant: string, metric: Metric, findings: Findings): string {
  const cell = findings.statistics[variant]?.[metric.id];
  if (!cell) return '–';
  const marks = (of: 'ratio' | 'value') =>
    findings.verdicts
      .filter(goal => goal.variant === variant && goal.metric === metric.id && goal.of === of)
      .map(({ word }) => ` ${MARKS[word]}`)
      .join('');
  const value = `${numberText(cell.median)} ${spreadText(cell)}`.trim() + marks('value');
  if (!cell.ratio) return value;
  const { ratio } = cell;
  return `${value}<br>${`${numberText(ratio.median)}x ${spreadText(ratio)}`.trim()}${marks('ratio')}`;
}

function notRun(results: Results): string[] {
  const items = experimentsOf(results).flatMap(({ id, variants }) =>
    variants
      .filter(({ reason }) => reason !== null)
      .flatMap(({ title, outcome, reason }) => [
        `- ${escapeMarkdown(title)} in \`${id}\`: ${outcome.replace('-', ' ')}.`,
        '',
        ...fenced(reason!),
        '',
      ]),
  );
  return items.length > 0 ? ['## What did not run, and why', '', ...items] : [];
}

/** Text in a fence that it cannot end, indented as a part of the list item above. */
function fenced(text: string): string[] {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return [`${fence}text`, ...text.trim().split('\n'), fence].map(line => `  ${line}`);
}

function noisy(results: Results): string[] {
  const items = experimentsOf(results).flatMap(experiment => {
    const { warnings } = findingsOf(experiment).noise;
    return warnings.length > 0 ? [`- \`${experiment.id}\`: ${warnings.join('; ')}.`] : [];
  });
  if (items.length === 0) return [];
  return ['## What was noisy', '', ...items.flatMap(item => wrap(item, COLUMNS)), ''];
}
