/** One experiment of the page: what it is, its plots, its table, and what is to be said about both. */

import { html, type Markup } from '../../common/markup.ts';
import { type Findings, findingsOf } from '../harness/findings.ts';
import type { ExperimentResults } from '../harness/results.ts';
import type { Verdict } from '../harness/verdicts.ts';
import type { Metric } from '../scenario.ts';
import {
  betterText,
  goalText,
  MARKS,
  metricTitle,
  numberText,
  spreadText,
  tellsText,
} from './format.ts';
import { barFigure, lineFigure } from './html-plots.ts';
import { barPlots, isLinear, type LinePlot, linePlots } from './plots.ts';
import { verdictText } from './terminal.ts';

/** More plots than these are shown when asked for. */
const PLOTS_SHOWN = 4;

/** The anchor of an experiment. */
export function anchorOf(id: string): string {
  return id.replace('/', '-');
}

/**
 * @param plots collects the line plots, which the page's script draws; their index is in the markup
 */
export function experimentSection(experiment: ExperimentResults, plots: LinePlot[]): Markup {
  const findings = findingsOf(experiment);
  const measured = experiment.variants.some(({ runs }) => runs.length > 0);
  return html`<article id="${anchorOf(experiment.id)}">
<h3>${experiment.title}</h3>
<p class="id">${experiment.id}</p>
<p>${experiment.about}</p>
${experiment.reason && html`<p class="warn">${experiment.outcome}: ${experiment.reason}</p>`}
${measured && plotsOf(experiment, findings, plots)}
${measured && tableOf(experiment, findings)}
${notesOf(experiment, findings)}
</article>
`;
}

function plotsOf(experiment: ExperimentResults, findings: Findings, plots: LinePlot[]): Markup {
  const cells = findings.statistics;
  const figures = isLinear(experiment.variants)
    ? linePlots(experiment, cells).map(plot => lineFigure(plot, plots.push(plot) - 1))
    : barPlots(experiment, cells).map(barFigure);
  const rest = figures.slice(PLOTS_SHOWN);
  return html`<div class="plots">${figures.slice(0, PLOTS_SHOWN)}</div>
${
  rest.length > 0 &&
  html`<details><summary>${rest.length} more plots</summary><div class="plots">${rest}</div></details>`
}`;
}

function tableOf(experiment: ExperimentResults, findings: Findings): Markup {
  const heads = experiment.metrics.map(
    metric => html`<th scope="col">${metricTitle(metric)}<small>${betterText(metric)}</small></th>`,
  );
  const rows = experiment.variants.map(variant => {
    const base = variant.id === experiment.baseline;
    const cells = experiment.metrics.map(metric => cellOf(variant.id, metric, findings));
    const name = html`${variant.title}${base && html` <small>baseline</small>`}`;
    return html`<tr${base && html` class="base"`}><th scope="row">${name}</th>${cells}</tr>\n`;
  });
  return html`<div class="scroll"><table>
<thead><tr><td></td>${heads}</tr></thead>
<tbody>${rows}</tbody>
</table></div>`;
}

function cellOf(variant: string, metric: Metric, findings: Findings): Markup {
  const cell = findings.statistics[variant]?.[metric.id];
  if (!cell) return html`<td class="none">–</td>`;
  const verdicts = findings.verdicts.filter(
    verdict => verdict.variant === variant && verdict.metric === metric.id,
  );
  const marks = (of: 'ratio' | 'value') =>
    verdicts.filter(verdict => verdict.of === of).map(verdict => markOf(verdict, metric));
  const range = `quartiles ${numberText(cell.q1)} to ${numberText(cell.q3)}`;
  const extremes = `range ${numberText(cell.min)} to ${numberText(cell.max)}`;
  const { ratio } = cell;
  const below =
    ratio &&
    html`<span class="ratio">${numberText(ratio.median)}x <small>${spreadText(ratio)}</small>${marks('ratio')}</span>`;
  return html`<td title="${cell.n} rounds, ${range}, ${extremes}"><b>${numberText(cell.median)}</b> <small>${spreadText(cell)}</small>${marks('value')}${below}</td>`;
}

/** The mark of a goal, with its bound for whoever hovers. */
export function markOf(verdict: Verdict, metric: Metric | undefined): Markup {
  const kind = verdict.word.replace(' ', '-');
  const text = `goal ${goalText(verdict, metric)}: ${verdict.word}`;
  return html` <span class="mark ${kind}" title="${text}">${MARKS[verdict.word]}</span>`;
}

function notesOf(experiment: ExperimentResults, findings: Findings): Markup {
  const { noise, verdicts } = findings;
  const tells = tellsText(experiment.metrics, noise.tellsPercent);
  const count = experiment.rounds.length;
  const rounds = `${count} of ${experiment.roundsPlanned} rounds, ${experiment.seconds.toFixed(0)} s.`;
  const can = tells
    ? `Can tell differences above: ${tells}.`
    : 'Too few rounds to tell differences from noise.';
  const goals = verdicts.map(
    verdict =>
      html`<li><span class="mark ${verdict.word.replace(' ', '-')}">${MARKS[verdict.word]} ${verdict.word}</span> ${verdictText(experiment, verdict)}</li>`,
  );
  const missing = experiment.variants.filter(({ reason }) => reason !== null);
  const reasons = missing.map(
    ({ title, outcome, reason }) =>
      html`<dt>${title}: ${outcome.replace('-', ' ')}</dt><dd><pre>${reason}</pre></dd>`,
  );
  const retried = experiment.variants.filter(({ reason, errors }) => !reason && errors.length > 0);
  return html`${goals.length > 0 && html`<ul class="goals">${goals}</ul>`}
<p class="note">${rounds} ${can}</p>
${noise.warnings.map(text => html`<p class="warn">The machine was noisy: ${text}.</p>`)}
${retried.map(({ title, errors }) => html`<p class="warn">${title} needed another try: ${errors[0]!.message}</p>`)}
${reasons.length > 0 && html`<dl class="reasons">${reasons}</dl>`}`;
}
