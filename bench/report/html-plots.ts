/** Figures of the page. Bars are plain markup; lines are drawn by the page's script into the place left for them. */

import { html, type Markup } from '../../common/markup.ts';
import { betterText, numberText, valueText } from './format.ts';
import type { Bar, BarPlot, LinePlot } from './plots.ts';

/** Room behind the longest bar. */
const HEADROOM = 1.02;

function caption(metric: BarPlot['metric']): Markup {
  const unit = metric.unit === '' ? '' : `, ${metric.unit}`;
  return html`<figcaption><b>${metric.title}</b>${unit} <small>${betterText(metric)}</small></figcaption>`;
}

/** The place of a line plot. */
export function lineFigure(plot: LinePlot, index: number): Markup {
  return html`<figure>${caption(plot.metric)}<div class="lines" data-plot="${index}"></div></figure>\n`;
}

/** Horizontal bars, with the quartiles as whiskers, a line at the baseline, and a tick at each goal. */
export function barFigure({ metric, bars }: BarPlot): Markup {
  const measured = bars.filter(bar => 'median' in bar);
  const ends = measured.flatMap(({ q3, median, bounds }) => [q3, median, ...bounds]);
  const top = Math.max(...ends, 0) * HEADROOM || 1;
  const percent = (value: number) => (Math.max(0, value / top) * 100).toFixed(2);
  const base = measured.find(({ baseline }) => baseline);
  const rows = bars.map(bar =>
    'median' in bar
      ? barRow(bar, percent, valueText(bar.median, metric.unit))
      : html`<span class="name">${bar.name}</span><span class="why">${bar.why}</span>\n`,
  );
  const line = base && html` style="--base:${percent(base.median)}%"`;
  return html`<figure>${caption(metric)}<div class="bars"${line}>${rows}</div></figure>\n`;
}

function barRow(bar: Bar, percent: (value: number) => string, value: string): Markup {
  const { median, q1, q3 } = bar;
  const whisker =
    q3 > q1 &&
    html`<i class="whisker" style="left:${percent(q1)}%;width:${(Number(percent(q3)) - Number(percent(q1))).toFixed(2)}%"></i>`;
  const ticks = bar.bounds.map(
    bound =>
      html`<i class="bound" style="left:${percent(bound)}%" title="goal: ${numberText(bound)}"></i>`,
  );
  const kind = bar.baseline ? 'bar base' : 'bar';
  return html`<span class="name">${bar.name}</span><span class="track"><i class="${kind}" style="width:${percent(median)}%"></i>${whisker}${ticks}</span><span class="value">${value}</span>\n`;
}
