/**
 * The files of the page that are not made here: read at the start, from a checkout or from where curling is installed. One
 * that is missing is a warning and a 404: the page says what matters without any of them, and nobody is protected less.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { messageOf } from '../../common/errors.ts';
import { type HttpRoutes, respond } from '../../common/http/service.ts';
import { installed } from '../../common/installation.ts';
import type { Logger } from '../../common/log.ts';
import type { Tone } from './state-parts.ts';

const CSS = 'text/css';
const JS = 'text/javascript';
const SVG = 'image/svg+xml';

const FILES: readonly [route: string, type: string, locate: () => string][] = [
  ['/house.css', CSS, () => installed('common/page/house.css')],
  ['/house.js', JS, () => installed('common/page/house.js')],
  ['/page.css', CSS, () => installed('coordinator/page/page.css')],
  ['/page.js', JS, () => installed('coordinator/page/page.js')],
  ['/plots.js', JS, () => installed('coordinator/page/plots.js')],
  ['/uplot.css', CSS, () => inUplot('uPlot.min.css')],
  ['/uplot.js', JS, () => inUplot('uPlot.iife.min.js')],
];

/** The colours that house.css has for them on white: a tab shows how things are. */
const ICON_COLOURS: Record<Tone, string> = { good: '#137a43', unsure: '#b67a05', bad: '#b42318' };

/** Routes of all files that are there. */
export function assetRoutes(log: Logger): HttpRoutes {
  const routes: Record<string, HttpRoutes[string]> = {};
  for (const [route, type, locate] of FILES) {
    try {
      const bytes = readFileSync(locate());
      routes[route] = (_request, response) => respond(response, 200, type, bytes);
    } catch (error) {
      log.warn(`the status page is without ${route.slice(1)}: ${messageOf(error)}`);
    }
  }
  for (const [tone, colour] of Object.entries(ICON_COLOURS)) {
    const icon = iconSvg(colour);
    routes[`/icon-${tone}.svg`] = (_request, response) => respond(response, 200, SVG, icon);
  }
  return routes;
}

/** A curling stone from above. */
function iconSvg(colour: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="15" fill="${colour}"/><circle cx="16" cy="16" r="9" fill="none" stroke="#fff" stroke-width="2"/><rect x="13" y="14" width="12" height="4" rx="2" fill="#fff"/></svg>`;
}

function inUplot(name: string): string {
  return createRequire(import.meta.url).resolve(`uplot/dist/${name}`);
}
