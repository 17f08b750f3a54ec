/** Lines of a terminal, made of pieces with colours, cut to its width. Pure. */
import type { Colour, Paint } from '../color.ts';

/** A piece of a line; a text alone has no colour. */
export type Cell = string | readonly [colour: Colour, text: string];

/** A line of at most `columns` characters. Colours take no room. */
export function lineOf(cells: readonly Cell[], columns: number, paint: Paint): string {
  let room = columns;
  let line = '';
  for (const cell of cells) {
    const [colour, text] = typeof cell === 'string' ? [undefined, cell] : cell;
    // By characters, not code units: half of a pair is none.
    const piece = [...printable(text)].slice(0, room).join('');
    room -= [...piece].length;
    line += colour === undefined ? piece : paint(colour, piece);
  }
  return line;
}

/** Names and reasons come from others: what would move the cursor becomes a question mark. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
