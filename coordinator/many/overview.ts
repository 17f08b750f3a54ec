/** The first page of a process of several machines: which there are, how each is, and the way to its own page. Pure. */
import { html, type Markup } from '../../common/markup.ts';
import { VERSION } from '../../common/version.ts';
import { headline } from '../headline.ts';
import { toneOf } from '../page/state-parts.ts';
import type { CoordinatorStatus } from '../status.ts';
import type { ThreadState } from './machine-thread.ts';

/** One machine, for `/status.json` too. */
export interface MachineOverview {
  vm: string;
  /** Of its thread. */
  thread: ThreadState;
  summary: string;
  /** Times that its thread was started again after it ended by itself. */
  restarts: number;
  /** As its own `query-status`; null while its thread does not answer. */
  status: CoordinatorStatus | null;
}

/** Where a machine's own page is. */
export function pathOf(vm: string): string {
  return `/vm/${encodeURIComponent(vm)}`;
}

/** The whole page; it loads itself again. */
export function overviewHtml(machines: readonly MachineOverview[], now: Date): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="5">
<title>curling: ${machines.length} machines</title>
<link rel="icon" href="icon-${overallTone(machines)}.svg">
<link rel="stylesheet" href="house.css">
<link rel="stylesheet" href="page.css">
</head>
<body>
<header><h1>Machines of this host</h1><p class="line">as of ${now.toISOString().slice(11, 19)} UTC</p></header>
<main><section class="card"><table>
<thead><tr><th>machine</th><th>state</th><th>why</th><th>role</th><th>other host</th><th>restarts</th></tr></thead>
<tbody>${machines.map(row)}</tbody>
</table>
${machines.length === 0 && html`<p>There is no file vm/NAME.toml in the configuration.</p>`}
</section></main>
<footer><p>curling ${VERSION}. For programs: <a href="status.json">status.json</a>, <a href="metrics">metrics</a>.</p></footer>
</body>
</html>
`.html;
}

function row({ vm, thread, summary, restarts, status }: MachineOverview): Markup {
  const name = status ? html`<a href="${pathOf(vm).slice(1)}/">${vm}</a>` : vm;
  const state = status ? headline(status).word : thread;
  const why = status ? status.reason : summary;
  return html`<tr><td>${name}</td><td class="word ${toneOfMachine(status)}">${state}</td><td>${why}</td><td>${status?.role ?? ''}</td><td>${status?.peer ?? ''}</td><td>${restarts}</td></tr>\n`;
}

function toneOfMachine(status: CoordinatorStatus | null) {
  return status ? toneOf(status) : 'bad';
}

function overallTone(machines: readonly MachineOverview[]) {
  const tones = machines.map(({ status }) => toneOfMachine(status));
  return (['bad', 'unsure'] as const).find(tone => tones.includes(tone)) ?? 'good';
}
