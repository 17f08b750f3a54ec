/**
 * The manual pages in docs/man, whose lists of options are made from the tables of docs/operations.md, and that of the
 * commands of curlingctl from their own table.
 */
import fs from 'node:fs';
import path from 'node:path';
import { COMMANDS } from '../../ctl/commands.ts';
import { commandList } from './commands.ts';
import { optionList } from './mdoc.ts';

const FOLDER = 'docs/man';
const SOURCE = 'docs/operations.md';
const BEGIN = /^\.\\" options of (.+)$/;
const END = '.\\" end of options';

/** A page, and its text as it ought to be. */
export interface ManualPage {
  file: string;
  text: string;
  fresh: string;
}

/** All pages of a repository. */
export function manualPages(repository: string): ManualPage[] {
  const source = fs.readFileSync(path.join(repository, SOURCE), 'utf8');
  const folder = path.join(repository, FOLDER);
  return fs
    .readdirSync(folder)
    .filter(name => /\.\d$/.test(name))
    .sort()
    .map(name => {
      const file = path.join(folder, name);
      const text = fs.readFileSync(file, 'utf8');
      return { file, text, fresh: withOptions(text, source) };
    });
}

/** The page with its lists of options made anew. */
function withOptions(page: string, source: string): string {
  const out: string[] = [];
  let inside = false;
  for (const line of page.split('\n')) {
    if (line === END) inside = false;
    if (!inside) out.push(line);
    const program = BEGIN.exec(line)?.[1];
    if (program === undefined) continue;
    inside = true;
    const ctl = program === 'curlingctl';
    out.push(ctl ? commandList(COMMANDS) : optionList(sectionOf(source, program)));
  }
  return out.join('\n');
}

/** What stands below the heading of that name, up to the next heading of its level or above. */
function sectionOf(text: string, title: string): string {
  const lines = text.split('\n');
  const at = lines.findIndex(line => /^#+ /.test(line) && line.replace(/^#+ /, '') === title);
  if (at < 0) throw new Error(`${SOURCE} has no section ${title}`);
  const level = lines[at]!.indexOf(' ');
  const rest = lines.slice(at + 1);
  const end = rest.findIndex(line => /^#+ /.test(line) && line.indexOf(' ') <= level);
  return rest.slice(0, end < 0 ? rest.length : end).join('\n');
}
