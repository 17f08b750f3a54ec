/** One TOML file as a list of keys, each with the line that it stands on. Knows no key. */
import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import { CurlingError } from '../common/errors.ts';
import { readPrivateFile } from '../common/wire/private-file.ts';

/** What a key may say: a text, a number as it is written, a switch, or a list of texts and numbers. */
export type TomlValue = string | boolean | string[];

export interface TomlEntry {
  file: string;
  /** Counted from 1. */
  line: number;
  /** The table that the key stands in; empty at the top. */
  table: string;
  key: string;
  value: TomlValue;
}

/** `FILE:LINE`, as compilers say it. */
export function placeOf(entry: Pick<TomlEntry, 'file' | 'line'>): string {
  return `${entry.file}:${entry.line}`;
}

/**
 * Reads a file that nobody but us or root may write: what it says is done as root. TOML 1.0 (toml.io), of which only flat
 * tables with texts, whole numbers, switches and lists of these have a meaning here.
 * @throws CurlingError CURLING_CONFIG with the file, and where there is one the line.
 */
export function readTomlFile(file: string): TomlEntry[] {
  const text = readPrivateFile(file, { isSecret: false, code: 'CURLING_CONFIG' });
  return parseToml(text, file);
}

/** As `readTomlFile`, of a text. */
export function parseToml(text: string, file: string): TomlEntry[] {
  let ast: AST.TOMLProgram;
  try {
    ast = parseTOML(text, { tomlVersion: '1.0' });
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw fault({ file, line: error.lineNumber }, `this is no TOML: ${error.message}`);
  }
  return ast.body[0].body.flatMap(node =>
    node.type === 'TOMLTable' ? tableEntries(node, file) : [entryOf(node, '', file)],
  );
}

function tableEntries(table: AST.TOMLTable, file: string): TomlEntry[] {
  const [name, ...deeper] = table.resolvedKey;
  if (table.kind === 'array' || deeper.length > 0) {
    const shown = table.resolvedKey.filter(part => typeof part === 'string').join('.');
    const expected = 'expected a table with a name of one word in single brackets';
    throw fault({ file, line: table.loc.start.line }, `${expected}, got ${shown}`);
  }
  return table.body.map(node => entryOf(node, String(name), file));
}

function entryOf(node: AST.TOMLKeyValue, table: string, file: string): TomlEntry {
  const place = { file, line: node.loc.start.line };
  const words = node.key.keys.map(key => (key.type === 'TOMLBare' ? key.name : key.value));
  const key = words.join('.');
  if (words.length > 1) throw fault(place, `expected a key of one word, got ${key}`);
  const value = tomlValue(node.value);
  if (value === undefined) {
    const expected = 'a text, a whole number, true, false, or a list of texts and numbers';
    throw fault(place, `${key}: expected ${expected}`);
  }
  return { ...place, table, key, value };
}

function tomlValue(node: AST.TOMLContentNode): TomlValue | undefined {
  if (node.type === 'TOMLArray') {
    const values = node.elements.map(tomlValue);
    return values.every(value => typeof value === 'string') ? (values as string[]) : undefined;
  }
  if (node.type !== 'TOMLValue') return undefined;
  if (node.kind === 'string') return node.value;
  if (node.kind === 'boolean') return node.value;
  return node.kind === 'integer' ? String(node.value) : undefined;
}

/** An error of configuration, with its place. */
export function fault(place: Pick<TomlEntry, 'file' | 'line'>, text: string): CurlingError {
  return new CurlingError('CURLING_CONFIG', `${placeOf(place)}: ${text}`);
}
