/** The tables of a terminal: one per experiment, at most 100 columns wide. */
import Table from 'cli-table3';
import { type Findings, findingsOf } from '../harness/findings.ts';
import { type ExperimentResults, experimentsOf, type Results } from '../harness/results.ts';
import type { Verdict, VerdictWord } from '../harness/verdicts.ts';
import type { Metric } from '../scenario.ts';
import {
  goalText,
  MARKS,
  metricTitle,
  numberText,
  spreadText,
  tellsText,
  valueText,
} from './format.ts';
import { type Paint, plain, wrap } from './text.ts';

const COLUMNS = 100;
/** Widths with the padding of one on either side, without the lines. */
const VARIANT_WIDTH = 28;
const METRIC_WIDTH = 17;
const METRICS_MAX = Math.floor((COLUMNS - VARIANT_WIDTH - 2) / (METRIC_WIDTH + 1));
const COLOURS = { met: 'green', 'not met': 'red', 'cannot tell': 'yellow' } as const;

/** The heading, the tables and the remarks of one experiment. */
export function experimentText(experiment: ExperimentResults, paint: Paint = plain): string {
  const findings = findingsOf(experiment);
  const lines = ['', paint('bold', `${experiment.id}: ${experiment.title}`)];
  lines.push(...wrap(experiment.about, COLUMNS));
  const { metrics } = experiment;
  const measured = experiment.variants.some(variant => variant.runs.length > 0);
  for (let at = 0; measured && at < metrics.length; at += METRICS_MAX)
    lines.push(tableText(experiment, findings, metrics.slice(at, at + METRICS_MAX), paint));
  lines.push(...remarks(experiment, findings).flatMap(line => wrap(line, COLUMNS)));
  return `${lines.join('\n')}\n`;
}

function tableText(
  experiment: ExperimentResults,
  findings: Findings,
  metrics: readonly Metric[],
  paint: Paint,
): string {
  const table = new Table({
    head: ['', ...metrics.map(metricTitle)],
    colWidths: [VARIANT_WIDTH, ...metrics.map(() => METRIC_WIDTH)],
    colAligns: ['left', ...metrics.map(() => 'right' as const)],
    wordWrap: true,
    style: { head: [], border: [], compact: true },
  });
  for (const variant of experiment.variants) {
    const base = variant.id === experiment.baseline ? ' (baseline)' : '';
    const cells = metrics.map(metric => cellText(variant.id, metric, findings, paint));
    table.push([`${variant.title}${base}`, ...cells]);
  }
  return table.toString();
}

function cellText(variant: string, metric: Metric, findings: Findings, paint: Paint): string {
  const cell = findings.statistics[variant]?.[metric.id];
  if (!cell) return '–';
  const verdicts = findings.verdicts.filter(
    verdict => verdict.variant === variant && verdict.metric === metric.id,
  );
  const mark = (of: 'ratio' | 'value') =>
    verdicts
      .filter(verdict => verdict.of === of)
      .map(({ word }) => ` ${paint(COLOURS[word], MARKS[word])}`)
      .join('');
  const lines = [`${numberText(cell.median)} ${spreadText(cell)}`.trim() + mark('value')];
  if (cell.ratio)
    lines.push(
      `${valueText(cell.ratio.median, 'x')} ${spreadText(cell.ratio)}`.trim() + mark('ratio'),
    );
  return lines.join('\n');
}

function remarks(experiment: ExperimentResults, findings: Findings): string[] {
  const { noise } = findings;
  const count = experiment.rounds.length;
  const lines = [`${count} round${count === 1 ? '' : 's'}, ${experiment.seconds.toFixed(0)} s`];
  const tells = tellsText(experiment.metrics, noise.tellsPercent);
  lines[0] += tells
    ? `; can tell differences above: ${tells}`
    : '; too few rounds to tell differences from noise';
  lines.push(...noise.warnings.map(warning => `! noisy: ${warning}`));
  if (experiment.reason) lines.push(`! ${experiment.outcome}: ${experiment.reason}`);
  for (const { id, outcome, reason, errors } of experiment.variants) {
    if (reason && reason !== experiment.reason) lines.push(`! ${id} ${outcome}: ${reason}`);
    if (errors.length > 0 && !reason)
      lines.push(`! ${id} needed another try in ${errors.length} of ${count} rounds`);
  }
  return lines;
}

/** One goal as a line: `✓ met  datapath/tcp hold: TCP out 0.71x (goal ≥ 0.65x)`. */
export function verdictText(experiment: ExperimentResults, verdict: Verdict): string {
  const metric = experiment.metrics.find(({ id }) => id === verdict.metric);
  const unit = verdict.of === 'ratio' ? 'x' : (metric?.unit ?? '');
  const value = verdict.median === null ? '–' : valueText(verdict.median, unit);
  const why = verdict.reason ? `; ${verdict.reason}` : '';
  const what = `${experiment.id} ${verdict.variant}: ${metric?.title ?? verdict.metric}`;
  return `${what} ${value} (goal ${goalText(verdict, metric)}${why})`;
}

/** How many goals have each verdict. */
export function verdictCounts(results: Results): Record<VerdictWord, number> {
  const counts = { met: 0, 'not met': 0, 'cannot tell': 0 };
  for (const experiment of experimentsOf(results))
    for (const { word } of findingsOf(experiment).verdicts) counts[word] += 1;
  return counts;
}

/** What is printed at the end: goals that are not met or cannot be told, and the counts. */
export function summaryText(results: Results, paint: Paint = plain): string {
  const lines = [''];
  for (const experiment of experimentsOf(results)) {
    for (const verdict of findingsOf(experiment).verdicts) {
      const mark = paint(COLOURS[verdict.word], `${MARKS[verdict.word]} ${verdict.word}`);
      lines.push(`${mark}  ${verdictText(experiment, verdict)}`);
    }
  }
  const counts = verdictCounts(results);
  lines.push(
    `goals: ${counts.met} met, ${counts['not met']} not met, ${counts['cannot tell']} cannot tell`,
  );
  return `${lines.join('\n')}\n`;
}
