/**
 * The page of one machine on one host. It is made here alone: whole when it is asked for, and later by its parts, which
 * the script puts in the place of those that are there. Whatever comes from outside is escaped (common/markup.ts). Pure.
 */
import { html, type Markup } from '../../common/markup.ts';
import { VERSION } from '../../common/version.ts';
import type { LoggedEvent } from '../event-log.ts';
import { headline } from '../headline.ts';
import type { CoordinatorStatus, Durations } from '../status.ts';
import { eventsPart, failoversPart } from './list-parts.ts';
import { numbersPart } from './number-parts.ts';
import {
  advicePart,
  pairPart,
  sincePart,
  statePart,
  type Tone,
  toneOf,
  warningsPart,
} from './state-parts.ts';

/** What there is to show. */
export interface Shown {
  status: CoordinatorStatus;
  /** For how long output waited, since the coordinator started. */
  delay: Durations;
  events: readonly LoggedEvent[];
  now: Date;
}

export type PartName = keyof ReturnType<typeof partsOf>;

/** What the script replaces, by name. */
export function partsOf({ status, delay, events, now }: Shown) {
  return {
    state: statePart(status),
    since: sincePart(status, now),
    advice: advicePart(status),
    warnings: warningsPart(status),
    pair: pairPart(status),
    numbers: numbersPart(status, delay),
    failovers: failoversPart(status),
    events: eventsPart(events),
  };
}

/** What belongs to the page around the parts. */
export function frameOf({ status, now }: Shown): { title: string; tone: Tone; at: string } {
  const { word } = headline(status);
  const { vm, host } = status;
  return { title: `${word}: ${vm} on ${host}`, tone: toneOf(status), at: now.toISOString() };
}

/** The whole page, as it is now. */
export function pageHtml(shown: Shown): string {
  const { title, tone, at } = frameOf(shown);
  const parts = partsOf(shown);
  const { vm, host } = shown.status;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="icon-${tone}.svg">
<link rel="stylesheet" href="uplot.css">
<link rel="stylesheet" href="house.css">
<link rel="stylesheet" href="page.css">
<script src="house.js" defer></script>
<script src="uplot.js" defer></script>
<script src="plots.js" defer></script>
<script src="page.js" defer></script>
</head>
<body class="${tone}" data-at="${at}">
<header>
<h1>${vm} <small>on host ${host}</small></h1>
<p class="line" id="line"><span id="line-says" role="status">as of</span> <span id="line-at">${at.slice(11, 19)} UTC</span></p>
</header>
<noscript><p class="warn">Without JavaScript this page does not renew itself: load it again. It has no plots.</p></noscript>
<main>
${stateSection(parts)}
<section class="card" aria-label="Numbers"><dl class="numbers" data-part="numbers">${parts.numbers}</dl></section>
${plotsSection()}
<section><h2>Failovers</h2><div class="card failovers" data-part="failovers">${parts.failovers}</div></section>
<section><h2>Last events</h2><div class="card events" data-part="events">${parts.events}</div></section>
</main>
<footer><p>curling ${VERSION}. All times are UTC. For programs: <a href="status.json">status.json</a>, <a href="history.json">history.json</a>, <a href="metrics">metrics</a>.</p></footer>
</body>
</html>
`.html;
}

function stateSection(parts: Record<PartName, Markup>): Markup {
  return html`<section class="card state" aria-label="State">
<div class="headline">
<p class="last-known" id="last-known" hidden>Last known:</p>
<div data-part="state" aria-live="polite">${parts.state}</div>
<div class="since" data-part="since">${parts.since}</div>
</div>
<div class="pair" data-part="pair">${parts.pair}</div>
<dl class="advice" data-part="advice">${parts.advice}</dl>
<div class="warnings" data-part="warnings">${parts.warnings}</div>
</section>`;
}

/** The plots' places; the script draws into them. */
const PLOTS: readonly [id: string, title: string, unit: string, about: string][] = [
  ['pause', 'Guest stopped for a checkpoint', 'ms', 'p50, p99, max'],
  ['delay', 'Output waited for its commit', 'ms', 'what every reply is later by'],
  ['held', 'Output held', 'KiB', 'the most in each interval'],
  ['size', 'Checkpoint size', 'KiB', 'mean of each interval'],
  ['lag', 'Replication lag', 'checkpoints', 'staged and not committed, at most'],
  ['rate', 'Checkpoints committed', 'per second', 'mean of each interval'],
];

function plotsSection(): Markup {
  const figures = PLOTS.map(
    ([id, title, unit, about]) =>
      html`<figure class="card"><figcaption><b>${title}</b>, ${unit} <small>${about}</small></figcaption><div class="lines" data-plot="${id}"></div></figure>\n`,
  );
  return html`<section class="over-time" aria-label="Over time" id="over-time" hidden>
<div class="bar"><h2>Over time</h2><div class="ranges" role="group" aria-label="How far back"><button type="button" data-range="fine" aria-pressed="true">15 min</button><button type="button" data-range="coarse" aria-pressed="false">6 h</button></div></div>
<figure class="card"><figcaption><b>State</b> <small>of this host</small></figcaption><div class="strip" id="strip" role="img" aria-label="no history yet"></div><div class="ends" aria-hidden="true"><span id="strip-from"></span><span>now</span></div></figure>
<div class="plots">${figures}</div>
</section>`;
}
