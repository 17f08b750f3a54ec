/** Lines of a terminal: wrapped, and coloured where that is wanted. */
export type Style = 'bold' | 'green' | 'red' | 'yellow' | 'dim';
export type Paint = (style: Style, text: string) => string;

/** ECMA-48: what begins each style. */
const BEGINNINGS = { bold: 1, green: 32, red: 31, yellow: 33, dim: 2 } as const;

/** No colours. */
export const plain: Paint = (_style, text) => text;

/** Colours on a terminal, unless NO_COLOR is set and not empty. */
export function paintFor(out: { isTTY?: boolean }, env: NodeJS.ProcessEnv): Paint {
  if (!out.isTTY || env.NO_COLOR) return plain;
  return (style, text) => `\x1b[${BEGINNINGS[style]}m${text}\x1b[0m`;
}

/** Breaks a text at blanks into lines of at most `columns`; a longer word has a line of its own. */
export function wrap(text: string, columns: number): string[] {
  return text.split('\n').flatMap(paragraph => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(' ')) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (line !== '' && longer.length > columns) {
        lines.push(line);
        line = word;
      } else {
        line = longer;
      }
    }
    return [...lines, line];
  });
}
