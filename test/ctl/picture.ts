/** A terminal's text with colours as a picture, drawn by Debian's Chromium. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { escapeText } from '../../common/markup.ts';
import { run } from '../../common/run.ts';

const FONT_PX = 15;
/** Of a monospaced font, as a share of its size. */
const LINE_HEIGHT = 1.35;
const CHARACTER_WIDTH = 0.602;
const MARGIN_PX = 18;
const DRAW_MS_MAX = 60_000;
const STYLES: Readonly<Record<string, string>> = {
  1: 'font-weight:bold',
  2: 'opacity:.6',
  7: 'background:#d5d9de;color:#16191d',
  31: 'color:#ff7b72',
  32: 'color:#6fd58a',
  33: 'color:#e8b84a',
  36: 'color:#79c0d8',
};

/** Text with the sequences of ctl/color.ts as markup. Pure. */
export function markupOf(text: string): string {
  return text
    .split('\u001b[')
    .map((piece, at) => {
      if (at === 0) return escapeText(piece);
      const end = piece.indexOf('m');
      const style = STYLES[piece.slice(0, end)];
      const open = style ? `<span style="${style}">` : '</span>';
      return open + escapeText(piece.slice(end + 1));
    })
    .join('');
}

/** Draws the text into a PNG that is as large as it needs to be. */
export async function drawTerminal(text: string, columns: number, file: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'curling-picture-'));
  const lines = text.trimEnd().split('\n').length;
  const width = Math.ceil(columns * FONT_PX * CHARACTER_WIDTH) + 2 * MARGIN_PX;
  const height = Math.ceil(lines * FONT_PX * LINE_HEIGHT) + 2 * MARGIN_PX;
  const style = `margin:0;padding:${MARGIN_PX}px;background:#16191d;color:#d5d9de;font:${FONT_PX}px/${LINE_HEIGHT} monospace`;
  const page = `<meta charset="utf-8"><body style="${style}"><pre style="margin:0;font:inherit">${markupOf(text)}</pre>`;
  try {
    writeFileSync(join(folder, 'page.html'), page);
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars'];
    const size = [`--window-size=${width},${height}`, `--user-data-dir=${join(folder, 'profile')}`];
    const what = [`--screenshot=${file}`, `file://${join(folder, 'page.html')}`];
    await run('chromium', [...flags, ...size, ...what], { timeoutMs: DRAW_MS_MAX });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
