/** Small pieces of the page: times, durations, words with a little Markdown. Pure. */
import { html, type Markup } from '../../common/markup.ts';

/** Reasons may come from a peer; more of one than this is cut. */
const WORDS_MAX = 600;
const MARKDOWN = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(#[^)]+\)/g;

/** A dash, for what is not known or not measured. */
export const NONE = '–';

/** `2026-11-28 11:22:33 UTC` of an ISO time, for machines too; the text itself when it is no time. */
export function timeMarkup(iso: string): Markup {
  const text = iso.replace('T', ' ').replace(/\.\d+Z$/, ' UTC');
  return html`<time datetime="${iso}">${text}</time>`;
}

/** Only the time of day; the date for whoever points at it. */
export function clockMarkup(iso: string): Markup {
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(11, 19)}</time>`;
}

/** `3 d 4 h`, `12 min 3 s`, `5 s`: two units at most. */
export function durationText(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [days, hours, minutes] = [Math.floor(s / 86_400), Math.floor(s / 3600), Math.floor(s / 60)];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  if (minutes > 0) return `${minutes} min ${s % 60} s`;
  return `${s} s`;
}

/** `2.1 ms`, `1.25 s`; a dash for what was not measured. */
export function msText(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return NONE;
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

/** `1 234 567`, with spaces that do not break. */
export function countText(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ');
}

/** Words of others, not more of them than fit. */
export function wordsText(text: string): string {
  return text.length > WORDS_MAX ? `${text.slice(0, WORDS_MAX)}…` : text;
}

/** Words with the Markdown that stands in tables of docs/: code, strong, and links, which become the names of sections. */
export function markdownMarkup(text: string): Markup {
  const parts: Markup[] = [];
  let from = 0;
  for (const match of text.matchAll(MARKDOWN)) {
    const [whole, code, strong, link] = match;
    parts.push(html`${text.slice(from, match.index)}`);
    if (code) parts.push(html`<code>${code}</code>`);
    if (strong) parts.push(html`<strong>${strong}</strong>`);
    if (link) parts.push(html`<cite title="a section of docs/operations.md">${link}</cite>`);
    from = match.index + whole.length;
  }
  parts.push(html`${text.slice(from)}`);
  return html`${parts}`;
}
