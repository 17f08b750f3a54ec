/** The numbers of the page, each with its unit. Always the same ones in the same order: nothing jumps. Pure. */
import { html, type Markup } from '../../common/markup.ts';
import { bytesText } from '../../common/quantities.ts';
import type { CoordinatorStatus, Durations } from '../status.ts';
import { countText, msText, NONE } from './texts.ts';

interface Figure {
  title: string;
  value: string;
  notes: readonly string[];
}

/** @param delay For how long output waited, since the coordinator started. */
export function numbersPart(status: CoordinatorStatus, delay: Durations): Markup {
  const figures = [
    epochs(status),
    times('Guest stopped', status.checkpoint.pauseMs, 'for a checkpoint'),
    times('Output waited', delay, 'for its commit'),
    times('Commit', status.checkpoint.commitMs, 'staged to acknowledged'),
    held(status),
    checkpoints(status),
    deciders(status),
    failovers(status),
  ];
  return html`${figures.map(
    ({ title, value, notes }) =>
      html`<div><dt>${title}</dt><dd><b class="value">${value}</b>${notes.map(note => html`<small>${note}</small>`)}</dd></div>\n`,
  )}`;
}

/** Without a pair nothing is committed anywhere, and a lag means nothing. */
function epochs({ role, peer, epoch }: CoordinatorStatus): Figure {
  const title = 'Epochs committed';
  if (peer === null) return { title, value: NONE, notes: [`newest ${countText(epoch.taken)}`, ''] };
  const value = countText(epoch.committed);
  if (role === 'backup') return { title, value, notes: ['the newest one here', ''] };
  const lag = countText(epoch.taken - epoch.committed);
  return { title, value, notes: [`${countText(epoch.taken)} taken`, `lag ${lag}`] };
}

/** The median, with what was rarely or never exceeded. */
function times(title: string, { count, p50, p99, max }: Durations, what: string): Figure {
  if (count === 0) return { title, value: NONE, notes: [what, ''] };
  return {
    title,
    value: msText(p50),
    notes: [`p50, ${what}`, `p99 ${msText(p99)}, max ${msText(max)}`],
  };
}

function held({ proxy }: CoordinatorStatus): Figure {
  const share = proxy.bytesMax > 0 ? (100 * proxy.heldBytes) / proxy.bytesMax : 0;
  return {
    title: 'Output held',
    value: proxy.connected ? bytesText(proxy.heldBytes) : NONE,
    notes: [
      `${countText(proxy.heldFrames)} frames; the proxy: ${proxy.state}`,
      `${share.toFixed(share < 10 ? 1 : 0)} % of ${bytesText(proxy.bytesMax)}`,
    ],
  };
}

function checkpoints({ checkpoint }: CoordinatorStatus): Figure {
  const { bytesP50, bytesTotal, pauseMs } = checkpoint;
  return {
    title: 'Checkpoint',
    value: pauseMs.count === 0 ? NONE : bytesText(bytesP50),
    notes: ['p50 of their sizes', `${bytesText(bytesTotal)} in ${countText(pauseMs.count)}`],
  };
}

/** Who is asked before this host runs the machine alone. */
function deciders({ witness, gateway }: CoordinatorStatus): Figure {
  const asked = gateway && `gateway ${gateway.addresses.join(', ')}`;
  return {
    title: 'Witness',
    value: witness.reachable ? 'reachable' : 'not reachable',
    notes: [
      witness.store === null ? 'any store' : `store ${witness.store.slice(0, 8)}…`,
      asked ? `${asked} ${gateway.reachable ? 'answers' : 'does not answer'}` : 'no gateway',
    ],
  };
}

function failovers({ failovers: records, onBackupLoss, held: silent }: CoordinatorStatus): Figure {
  return {
    title: 'Failovers to this host',
    value: countText(records.length),
    notes: [
      'since its coordinator started',
      `on backup loss: ${onBackupLoss}${silent ? ', held now' : ''}`,
    ],
  };
}
