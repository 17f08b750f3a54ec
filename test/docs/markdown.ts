/** Reads the project's markdown: titles, links, sections, tables, options. Pure: text in, facts out. */

/** The text without its fenced blocks. */
export function withoutFences(text: string): string {
  return text.replace(/^```[^\n]*\n.*?^```$/gms, '');
}

/** All headings, without their marks. */
export function headings(text: string): { level: number; title: string }[] {
  return [...withoutFences(text).matchAll(/^(#+) (.+)$/gm)].map(([, marks = '', title = '']) => ({
    level: marks.length,
    title,
  }));
}

/** The name by which a link reaches a heading, as forges make it. */
export function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** Where the links of a text lead, web addresses left out. */
export function relativeLinks(text: string): string[] {
  const links = [...withoutFences(text).matchAll(/\]\(([^()\s]+)\)/g)].map(match => match[1]!);
  return links.filter(link => !/^[a-z]+:/.test(link));
}

/** What stands below a heading, up to the next one of its level or above; empty when there is none. */
export function section(text: string, heading: string): string {
  const at = text.split('\n').indexOf(heading);
  if (at < 0) return '';
  const level = heading.indexOf(' ');
  const rest = text.split('\n').slice(at + 1);
  const end = rest.findIndex(line => /^#+ /.test(line) && line.indexOf(' ') <= level);
  return rest.slice(0, end < 0 ? rest.length : end).join('\n');
}

/** What stands in code at the beginning of a table's rows. */
export function rowNames(text: string): string[] {
  return [...text.matchAll(/^\| `([^`]+)`/gm)].map(match => match[1]!);
}

/** The cells of all rows of all tables, heads too. */
export function tableRows(text: string): string[][] {
  const rows = text.split('\n').filter(line => /^\|.*\|$/.test(line) && !/^\|[-|]+\|$/.test(line));
  return rows.map(row =>
    row
      .slice(1, -1)
      .split('|')
      .map(cell => cell.trim()),
  );
}

/** Headings that are a name in code, at the level of commands. */
export function commandHeadings(text: string): string[] {
  return [...text.matchAll(/^#### `([^`]+)`$/gm)].map(match => match[1]!);
}

/** One use of a long option, and the words in front of it on its command line. */
export interface OptionUse {
  option: string;
  before: string;
}

/** Every long option in a text, in fenced blocks too; lines that go on after a backslash count as one. */
export function optionUses(text: string): OptionUse[] {
  return text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .flatMap(line =>
      [...line.matchAll(/(?<![\w-])--([a-z][a-z-]*)/g)].map(match => ({
        option: match[1]!,
        before: line.slice(0, match.index),
      })),
    );
}
