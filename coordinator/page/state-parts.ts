/** The top of the page: the state in words, what to do, and the two hosts. Pure. */
import { html, type Markup } from '../../common/markup.ts';
import { type Headline, headline } from '../headline.ts';
import type { CoordinatorStatus, DrillRecord } from '../status.ts';
import { adviceFor } from './advice.ts';
import { durationText, markdownMarkup, msText, timeMarkup, wordsText } from './texts.ts';

/** How the page is coloured: all is well; nothing to worry about, or soon over; somebody should look. */
export type Tone = 'good' | 'unsure' | 'bad';

/** Not protected, and it passes by itself within seconds. */
const PASSING: readonly string[] = ['SYNC', 'SRES', 'PRES', 'FROZ'];

/** A sign beside each colour, for who does not see colours. */
const SIGNS: Record<Tone, string> = { good: '✓', unsure: '◔', bad: '!' };

export function toneOf(status: CoordinatorStatus, { rank }: Headline = headline(status)): Tone {
  if (rank === 3) return 'good';
  return rank === 2 || PASSING.includes(status.state) ? 'unsure' : 'bad';
}

/** The word, since when and why. */
export function statePart(status: CoordinatorStatus): Markup {
  const { word } = headline(status);
  const tone = toneOf(status);
  return html`<h2 class="word ${tone}"><span class="sign" aria-hidden="true">${SIGNS[tone]}</span>${word}</h2>
<p class="reason">${wordsText(status.reason)}</p>`;
}

export function sincePart(status: CoordinatorStatus, now: Date): Markup {
  const since = (iso: string) =>
    html`${timeMarkup(iso)}, for <b>${durationText(now.getTime() - Date.parse(iso))}</b>`;
  const { unprotected, drill } = status;
  return html`<p>State <code>${status.state}</code> since ${since(status.since)}</p>
${unprotected && html`<p>Without a backup since ${since(unprotected.since)}: ${wordsText(unprotected.why)}</p>`}
${drill && drillMarkup(drill)}`;
}

/** The newest rehearsal of a failover to this host. */
function drillMarkup({ at, ok, loadMs, reason }: DrillRecord): Markup {
  const result = ok
    ? html`<b>went well</b>, loaded in ${msText(loadMs)}`
    : html`<b>failed</b>: ${wordsText(reason)}`;
  return html`<p>Drill of ${timeMarkup(at)} ${result}</p>`;
}

export function advicePart(status: CoordinatorStatus): Markup {
  const advice = adviceFor(status);
  if (!advice) return html`<dt>What it means</dt><dd>a state that this page does not know</dd>`;
  const todo = advice.todo === '' ? 'nothing' : markdownMarkup(advice.todo);
  return html`<dt>What it means</dt><dd>${markdownMarkup(advice.means)}</dd>
<dt>What to do</dt><dd>${todo}</dd>`;
}

/** What is wrong besides: of the machine, of the witness, of the proxy. */
export function warningsPart(status: CoordinatorStatus): Markup {
  const warnings = [
    ...(status.proxy.connected ? [] : ['the proxy of this host does not answer: nothing leaves']),
    ...(status.witness.reachable ? [] : ['the witness does not answer: no decision can be made']),
    ...status.warnings.map(wordsText),
  ];
  return html`${warnings.map(text => html`<p class="warn">${text}</p>`)}`;
}

interface Host {
  name: string;
  does: string;
  kind: 'runs' | 'stands-by' | 'nothing';
}

/** The host that runs the guest, or should, at the left, and the one that holds its copy at the right. */
export function pairPart(status: CoordinatorStatus): Markup {
  const { role, host, peer, generation, peerRttMs } = status;
  const [left, right] = role === 'backup' ? [peer, host] : [host, peer];
  const arrow = status.protected || status.state === 'BACK' ? '⟶' : '⋯';
  const link =
    left === null || right === null
      ? html`<span class="arrow" aria-label="no pair">╳</span>`
      : html`<span class="arrow" aria-label="is copied to">${arrow}</span><small>rtt ${msText(peerRttMs)}</small>`;
  return html`${hostMarkup({ name: left ?? 'nobody', ...ownerOf(status) }, left === host)}
<div class="link">${link}<small>generation ${generation}</small></div>
${hostMarkup({ name: right ?? 'nobody', ...keeperOf(status) }, right === host)}`;
}

function ownerOf({ role, state, running }: CoordinatorStatus): Omit<Host, 'name'> {
  if (role === 'primary' && running) return { does: 'runs the guest', kind: 'runs' };
  if (role === 'primary') return { does: 'owns the machine; no guest runs', kind: 'nothing' };
  if (state === 'BACK') return { does: 'runs the guest', kind: 'runs' };
  if (state === 'FROZ') return { does: 'is silent', kind: 'nothing' };
  return { does: state === 'HALT' ? 'ends its guest' : 'has nothing of it', kind: 'nothing' };
}

function keeperOf({ role, state, peer }: CoordinatorStatus): Omit<Host, 'name'> {
  if (role === 'backup' || state === 'PROT') return { does: 'holds its copy', kind: 'stands-by' };
  if (peer === null) return { does: 'no backup', kind: 'nothing' };
  return { does: state === 'PRES' ? 'is silent' : 'is being copied to', kind: 'nothing' };
}

function hostMarkup({ name, does, kind }: Host, here: boolean): Markup {
  return html`<div class="host ${kind}"><b>${name}</b><span>${does}</span>${here && html`<small>this host</small>`}</div>`;
}
