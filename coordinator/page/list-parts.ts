/** What has happened: failovers to this host and the last events, newest first. Pure. */
import { html, type Markup } from '../../common/markup.ts';
import type { LoggedEvent } from '../event-log.ts';
import type { CoordinatorStatus, FailoverRecord } from '../status.ts';
import type { Tone } from './state-parts.ts';
import { clockMarkup, countText, msText, timeMarkup, wordsText } from './texts.ts';

const FAILOVERS_SHOWN = 10;
const EVENTS_SHOWN = 20;

const TONES: Readonly<Record<string, Tone>> = {
  PROTECTION_ACTIVE: 'good',
  COPY_COMPLETE: 'good',
  GATEWAY_BACK: 'good',
  PROTECTION_STARTED: 'unsure',
  PEER_SUSPECTED: 'unsure',
  FAILED_OVER: 'unsure',
  STAGING_FULL: 'unsure',
  PROTECTION_LOST: 'bad',
  PROTECTION_FAILED: 'bad',
  OUTPUT_HELD: 'bad',
  FAILOVER_FAILED: 'bad',
  FENCED: 'bad',
  GATEWAY_LOST: 'bad',
  PROXY_LOST: 'bad',
};

export function failoversPart({ failovers, host }: CoordinatorStatus): Markup {
  if (failovers.length === 0)
    return html`<p class="none">None to host ${host} since its coordinator started.</p>`;
  return html`${failovers.slice(-FAILOVERS_SHOWN).reverse().map(failoverItem)}`;
}

function failoverItem(record: FailoverRecord): Markup {
  const { from, to, at, silentMs, decisionMs, resumeMs, epoch, generation, reason } = record;
  const figures = [
    ['detected after', msText(silentMs)],
    ['decided in', msText(decisionMs)],
    ['resumed in', msText(resumeMs)],
    ['together', msText(silentMs + decisionMs + resumeMs)],
    ['from epoch', countText(epoch)],
    ['generation', countText(generation)],
  ];
  return html`<article class="failover"><h3>${from} → ${to} <small>${timeMarkup(at)}</small></h3>
<p>${wordsText(reason)}</p>
<dl>${figures.map(([title, value]) => html`<div><dt>${title}</dt><dd>${value}</dd></div>`)}</dl></article>\n`;
}

export function eventsPart(events: readonly LoggedEvent[]): Markup {
  if (events.length === 0)
    return html`<p class="none">Nothing has happened since this coordinator started.</p>`;
  const items = events.slice(-EVENTS_SHOWN).reverse().map(eventItem);
  return html`<ol>${items}</ol>`;
}

function eventItem({ name, data, at }: LoggedEvent): Markup {
  const { from, to, reason } = data;
  const text =
    name === 'STATE_CHANGE' ? `${String(from)} → ${String(to)}` : wordsText(String(reason ?? ''));
  return html`<li class="${TONES[name] ?? 'plain'}">${clockMarkup(at)} <b>${name}</b> <span>${text}</span></li>\n`;
}
