/** report.html: one file that needs nothing else, neither a network nor a server. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { html, Markup, scriptJson } from '../../common/markup.ts';
import { inRepository } from '../../lab/paths.ts';
import { durationText } from '../harness/estimate.ts';
import { findingsOf } from '../harness/findings.ts';
import { type ExperimentResults, experimentsOf, type Results } from '../harness/results.ts';
import type { Verdict } from '../harness/verdicts.ts';
import { goalText, MARKS, valueText } from './format.ts';
import { anchorOf, experimentSection, markOf } from './html-experiment.ts';
import { machineRows, machineSummary } from './machine-rows.ts';
import type { LinePlot } from './plots.ts';
import { verdictCounts } from './terminal.ts';

const PAGE = 'bench/report/page';
const HOUSE = 'common/page';

/** The whole page. */
export function pageHtml(results: Results): string {
  const plots: LinePlot[] = [];
  const sections = results.scenarios.map(
    scenario => html`<section id="${scenario.name}">
<h2>${scenario.title}</h2>
<p class="question">${scenario.question}</p>
${scenario.experiments.map(experiment => experimentSection(experiment, plots))}</section>
`,
  );
  const uplot = path.dirname(createRequire(import.meta.url).resolve('uplot'));
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>What curling costs</title>
<style>${source(uplot, 'uPlot.min.css')}${source(inRepository(HOUSE), 'house.css')}${source(inRepository(PAGE), 'page.css')}</style>
</head>
<body>
${header(results)}
${goalsTable(results)}
${contents(results)}
<main>
${sections}</main>
<script type="application/json" id="plots">${scriptJson(plots)}</script>
<script>${source(uplot, 'uPlot.iife.min.js')}</script>
<script>${source(inRepository(HOUSE), 'house.js')}${source(inRepository(PAGE), 'page.js')}</script>
</body>
</html>
`.html;
}

/** A file of ours or of uPlot, as it is. */
function source(folder: string, name: string): Markup {
  return new Markup(readFileSync(path.join(folder, name), 'utf8'));
}

function header(results: Results): Markup {
  const counts = verdictCounts(results);
  const pills = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(
      ([word, count]) =>
        html`<span class="pill ${word.replace(' ', '-')}">${count} ${word}</span> `,
    );
  const noisy = experimentsOf(results).filter(
    experiment => findingsOf(experiment).noise.warnings.length > 0,
  ).length;
  const facts = machineRows(results).map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`);
  const form = results.quick ? 'quick run: an impression' : 'full run';
  const when = results.started.slice(0, 16).replace('T', ' ');
  return html`<header>
<h1>What curling costs</h1>
<p class="sub">${form} of ${when} UTC, ${durationText(results.seconds)}${!results.complete && ', interrupted'}</p>
${pills.length > 0 && html`<p class="pills"><span>Goals:</span> ${pills}</p>`}
${noisy > 0 && html`<p class="warn">The machine was noisy in ${noisy} of ${experimentsOf(results).length} experiments; each says so. Ratios bear that better than absolute values: they compare runs of the same round.</p>`}
<details class="machine"><summary>${machineSummary(results)}</summary><dl>${facts}</dl></details>
<p class="note">${READING}</p>
</header>`;
}

const READING =
  'How to read this: variants ran in turns, round after round. Bars and points are medians over the rounds, whiskers ' +
  'the quartiles, dashed lines the baseline, orange ticks the goals. In tables, ± is half the distance of the quartiles, ' +
  'and the second line the median ratio to the baseline of the same round.';

function goalsTable(results: Results): Markup | false {
  const rows = experimentsOf(results).flatMap(experiment =>
    findingsOf(experiment).verdicts.map(verdict => goalRow(experiment, verdict)),
  );
  if (rows.length === 0) return false;
  return html`<section id="goals"><h2>Goals</h2><div class="scroll card"><table>
<thead><tr><td></td><th scope="col">verdict</th><th scope="col">measured</th><th scope="col">goal</th></tr></thead>
<tbody>${rows}</tbody></table></div></section>`;
}

function goalRow(experiment: ExperimentResults, verdict: Verdict): Markup {
  const metric = experiment.metrics.find(({ id }) => id === verdict.metric);
  const variant = experiment.variants.find(({ id }) => id === verdict.variant);
  const unit = verdict.of === 'ratio' ? 'x' : (metric?.unit ?? '');
  const value = verdict.median === null ? '–' : valueText(verdict.median, unit);
  const name = html`<a href="#${anchorOf(experiment.id)}">${variant?.title}: ${metric?.title}</a><small>${experiment.id}</small>`;
  const why = verdict.reason && html`<small>${verdict.reason}</small>`;
  const word = html`<span class="mark ${verdict.word.replace(' ', '-')}">${MARKS[verdict.word]} ${verdict.word}</span>`;
  return html`<tr><th scope="row">${name}</th><td>${word}${why}</td><td><b>${value}</b></td><td>${goalText(verdict, metric)}</td></tr>\n`;
}

function contents(results: Results): Markup {
  const items = results.scenarios.map(({ name, title, experiments }) => {
    const inner = experiments.map(experiment => {
      const marks = findingsOf(experiment).verdicts.map(verdict =>
        markOf(
          verdict,
          experiment.metrics.find(({ id }) => id === verdict.metric),
        ),
      );
      const bad = experiment.outcome === 'complete' ? false : ` (${experiment.outcome})`;
      return html`<li><a href="#${anchorOf(experiment.id)}">${experiment.title}</a>${bad}${marks}</li>`;
    });
    return html`<li><a href="#${name}">${title}</a><ul>${inner}</ul></li>\n`;
  });
  return html`<nav><h2>Contents</h2><ul>${items}</ul></nav>`;
}
