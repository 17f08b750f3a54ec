/** From the project's markdown to mdoc(7), as far as the cells of its tables need it. Pure. */

/** A table's row: the code that it begins with, and its further cells. */
export interface Row {
  name: string;
  cells: string[];
}

const COLUMNS_MAX = 78;

/** The rows of all tables in a text that begin with code, e.g. of options. */
export function rows(text: string): Row[] {
  return [...text.matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)].map(([, name = '', rest = '']) => ({
    name,
    cells: rest.split(/(?<!\\) \| ?|^ \| /).map(cell => cell.trim()),
  }));
}

/** One cell as a line of text: links lose their targets, code is bold, what mdoc would read as its own is escaped. */
export function inline(markdown: string): string {
  const plain = markdown.replace(/\[([^\]]+)\]\([^)]*\)/g, '$1').replaceAll('\\|', '|');
  const escaped = plain
    .replaceAll('\\', '\\e')
    .replace(/`([^`]+)`/g, (_, code: string) => bold(code));
  const one = escaped.replace(/\*\*([^*]+)\*\*/g, (_, word: string) => `\\fI${word}\\fR`);
  return sentences(one);
}

function bold(code: string): string {
  return `\\fB${code.replaceAll('-', '\\-')}\\fR`;
}

/** mdoc wants a new line for each sentence, and none above 80 bytes. */
function sentences(text: string): string {
  const lines = text.replace(/(?<=[a-z)`R\d]{2}[.?!]\)?) (?=[A-Z\\])/g, '\n').split('\n');
  return lines.map(wrapped).join('\n');
}

function wrapped(line: string): string {
  const lines = [''];
  for (const word of line.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trimStart();
    if (Buffer.byteLength(longer) <= COLUMNS_MAX) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  // A word that begins a line now might be read as a request.
  return lines.map(text => text.replace(/^([.'])/, '\\&$1')).join('\n');
}

/** The list of options that a table has. */
export function optionList(table: string): string {
  const items = rows(table).map(({ name, cells }) => {
    const [flag = '', ...values] = name.split(' ');
    const value = values.length > 0 ? ` Ar ${values.join(' ')}` : '';
    const [preset = '', meaning = ''] = cells;
    const said = preset === '' || preset === 'none' ? '' : `\n.Pq ${presetWords(preset)}`;
    return `.It Fl Fl ${flag.replace(/^--/, '')}${value}\n${capital(inline(meaning))}.${said}`;
  });
  return ['.Bl -tag -width indent', ...items, '.El'].join('\n').replaceAll('..\n', '.\n');
}

function presetWords(preset: string): string {
  if (/^(required|this or)\b/.test(preset)) return inline(preset);
  return `default: ${inline(preset)}`;
}

/** With a capital letter in front, as a sentence begins. */
export function capital(text: string): string {
  return text.replace(/^[a-z]/, letter => letter.toUpperCase());
}
