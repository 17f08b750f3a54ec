import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { manualPages } from '../../install/man/pages.ts';
import { references, sectionTitles } from './mdoc.ts';

const pages = manualPages('.');
const NAMES = pages.map(({ file }) => path.basename(file));
/** What a page of each manual section must say, beside its name and description. */
const SECTIONS: Record<string, readonly string[]> = {
  1: ['SYNOPSIS', 'OPTIONS', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO'],
  5: ['EXAMPLES', 'SEE ALSO'],
  7: ['FILES', 'EXIT STATUS', 'EXAMPLES', 'SECURITY', 'SEE ALSO'],
  8: ['SYNOPSIS', 'OPTIONS', 'EXIT STATUS', 'EXAMPLES', 'SECURITY', 'SEE ALSO'],
};

test('there is a page for every program, for the configuration and for the whole', t => {
  const { bin } = JSON.parse(fs.readFileSync('package.json', 'utf8')) as { bin: object };
  const documented = NAMES.map(name => name.replace(/\.\d$/, ''));
  for (const program of [...Object.keys(bin), 'curling-install', 'curling', 'curling.toml'])
    t.true(documented.includes(program), `docs/man has no page of ${program}`);
});

test('curling-install has the same options in its help, its page and docs/install.md', t => {
  const optionsOf = (text: string, form: RegExp) =>
    [...text.matchAll(form)].map(match => match[1]!).sort();
  const help = execFileSync('sh', ['install/curling-install', '--help'], { encoding: 'utf8' });
  const page = fs.readFileSync('docs/man/curling-install.8', 'utf8');
  const table = fs.readFileSync('docs/install.md', 'utf8');
  const helped = optionsOf(help, /^ +(?:-h, )?--([a-z-]+)/gm);
  t.true(helped.length >= 13);
  t.deepEqual(optionsOf(page, /^\.It (?:Fl h , )?Fl Fl ([a-z-]+)/gm), helped);
  const others = ['help', 'version'];
  t.deepEqual(
    [...optionsOf(table, /^\| `--([a-z-]+)/gm), ...others].sort(),
    helped,
    'those two stand above the table',
  );
  const used = help.split('\n\n')[0]!;
  const synopsis = page.slice(page.indexOf('.Sh SYNOPSIS'), page.indexOf('.Sh DESCRIPTION'));
  for (const option of ['force', 'print-config', 'destdir', 'undo', 'dry-run'])
    t.true(used.includes(`--${option}`) && synopsis.includes(`Fl Fl ${option}`), option);
});

for (const { file, text, fresh } of pages) {
  const name = path.basename(file);
  test(`${name} has the options of docs/operations.md: npm run man`, t => {
    t.is(text, fresh);
  });

  test(`${name} has the sections of its kind, and refers to pages that there are`, t => {
    const titles = sectionTitles(text);
    for (const title of ['NAME', 'DESCRIPTION', ...SECTIONS[name.at(-1)!]!])
      t.true(titles.includes(title), `${name} has no section ${title}`);
    const own = references(text).filter(reference => reference.startsWith('curling'));
    for (const reference of own) t.true(NAMES.includes(reference), `${name}: ${reference}`);
    t.true(own.length > 0);
  });

  test(`${name} has nothing that mandoc minds`, t => {
    const { stdout, error } = spawnSync('mandoc', ['-T', 'lint', '-W', 'style', file], {
      encoding: 'utf8',
    });
    t.is(error, undefined, 'mandoc is not installed');
    // Pages of other packages need not be here; those of this one are looked for above.
    const said = stdout.split('\n').filter(line => line !== '' && !/manual not found/.test(line));
    t.deepEqual(said, []);
  });
}

test('mandoc minds what is wrong', t => {
  const wrong = '.Dd November 1, 2026\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n.Nope\n';
  const { stdout } = spawnSync('mandoc', ['-T', 'lint'], { input: wrong, encoding: 'utf8' });
  t.regex(stdout, /unknown macro/);
  t.regex(execFileSync('mandoc', ['docs/man/curling.7'], { encoding: 'utf8' }), /CURLING\(7\)/);
});
