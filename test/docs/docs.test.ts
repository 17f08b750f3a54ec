import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { BENCH } from '../../bench/settings.ts';
import { SOAK } from '../../bench/soak/settings.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { HOST_STATES } from '../../coordinator/arbitration/host-state.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { COMMANDS } from '../../ctl/commands.ts';
import { controlCommands } from '../../proxy/control.ts';
import { witnessServer } from '../../witness/service.ts';
import type { WitnessStore } from '../../witness/store.ts';
import { FAULT_RUN } from '../faults/settings.ts';
import * as markdown from './markdown.ts';

const FILES = [
  'README.md',
  'CHANGELOG.md',
  ...fs
    .readdirSync('docs')
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
];
const PROGRAMS = {
  'curling-proxy': 'proxy',
  'curling-coordinator': 'coordinator',
  'curling-witness': 'witness',
};
const CTL_OPTIONS = [
  ...new Set(Object.values(COMMANDS).flatMap(command => Object.keys(command.options))),
].sort();
/** Options that are no operator's: of the demo, of the lab's end, of the benchmark, the soak and the fault matrix. */
const OTHERS = [
  ...['json', 'keep', 'all', 'help', 'version'],
  ...[BENCH, SOAK, FAULT_RUN].flatMap(({ options: own }) => Object.keys(own)),
];

function read(file: string): string {
  return fs.readFileSync(file, 'utf8');
}

/** What --help of a program lists. */
function optionsOf(folder: string): string[] {
  const args = [`build/${folder}/main.js`, '--help'];
  const help = execFileSync(process.execPath, args, { encoding: 'utf8' });
  const names = [...help.matchAll(/^ {2}(?:-\w, )?--([a-z-]+)/gm)].map(match => match[1]!);
  return names.filter(name => name !== 'help' && name !== 'version').sort();
}

const options = new Map([
  ...Object.entries(PROGRAMS).map(([program, folder]) => [program, optionsOf(folder)] as const),
  ['curlingctl', CTL_OPTIONS] as const,
]);
const protocol = read('docs/protocol.md');
const operations = read('docs/operations.md');

/** Commands documented in a section of docs/protocol.md. */
function documentedCommands(heading: string): string[] {
  return markdown.commandHeadings(markdown.section(protocol, heading)).sort();
}

/** Events documented in a section of docs/protocol.md. */
function documentedEvents(heading: string): string[] {
  return markdown.rowNames(markdown.section(protocol, heading)).sort();
}

/** The names in code between two texts of a source. */
function between(source: string, from: string, to: string): string {
  const start = source.indexOf(from);
  const end = source.indexOf(to, start);
  if (start < 0 || end < 0) throw new Error(`${from} … ${to} is not in the source any more`);
  return source.slice(start + from.length, end);
}

function emitted(source: string): string[] {
  return [...source.matchAll(/emit\((?:'event', )?'([A-Z_]+)'/g)].map(match => match[1]!);
}

for (const file of FILES) {
  test(`${file} has exactly one title, and its links lead somewhere`, t => {
    const text = read(file);
    const titles = markdown.headings(text).filter(({ level }) => level === 1);
    t.is(titles.length, 1);
    for (const link of markdown.relativeLinks(text)) {
      const [name, anchor] = link.split('#');
      const target = name ? path.join(path.dirname(file), name) : file;
      t.true(fs.existsSync(target), `${link}: there is no ${target}`);
      if (anchor === undefined) continue;
      const anchors = markdown.headings(read(target)).map(({ title }) => markdown.anchorOf(title));
      t.true(anchors.includes(anchor), `${link}: ${target} has no such heading`);
    }
  });
}

for (const [program, known] of options) {
  test(`docs/operations.md lists the options of ${program}, and no other`, t => {
    const rows = markdown.rowNames(markdown.section(operations, `### ${program}`));
    const listed = rows
      .filter(row => !row.startsWith('curlingctl '))
      .map(row => /^--([a-z-]+)/.exec(row)?.[1] ?? row);
    t.true(known.length > 0);
    t.deepEqual(listed.sort(), known);
  });
}

/** What the help of curling-install lists. */
const INSTALL_OPTIONS = [
  ...execFileSync('sh', ['install/curling-install', '--help'], { encoding: 'utf8' }).matchAll(
    /^ {2}(?:-\w, )?--([a-z-]+)/gm,
  ),
].map(match => match[1]!);

test('docs/install.md lists the options of curling-install, and no other', t => {
  const rows = markdown.rowNames(markdown.section(read('docs/install.md'), '## Options'));
  const listed = rows.map(row => /^--([a-z-]+)/.exec(row)?.[1] ?? row);
  const own = INSTALL_OPTIONS.filter(name => name !== 'help' && name !== 'version');
  t.deepEqual(listed.sort(), own.sort());
});

/** What a program takes behind these words: curlingctl, what its command does. */
function optionsOfCall(program: string, words: string): readonly string[] {
  const [name = ''] = words.trim().split(' ');
  if (program === 'curling-install') return INSTALL_OPTIONS;
  const command = program === 'curlingctl' ? COMMANDS[name] : undefined;
  return command ? Object.keys(command.options) : options.get(program)!;
}

test('every option that the docs mention is one of the program that it is given to', t => {
  const all = [...options.values(), INSTALL_OPTIONS].flat().concat(OTHERS);
  for (const file of FILES) {
    for (const { option, before } of markdown.optionUses(read(file))) {
      // The last program in front of it on its line, if the line is a command and not a sentence.
      const call = /(?:^|`)(curling-\w+|curlingctl)( [^`|]*)?$/.exec(before);
      const known = call ? [...optionsOfCall(call[1]!, call[2] ?? ''), 'help', 'version'] : all;
      t.true(known.includes(option), `${file}: ${call?.[0] ?? 'no program'} has no --${option}`);
    }
  }
});

test('docs/protocol.md has every command of the proxy, and no other', t => {
  const commands = controlCommands(() => Promise.reject(new Error('not started')));
  t.deepEqual(documentedCommands('### Proxy commands'), Object.keys(commands).sort());
});

test('docs/protocol.md has every command of the coordinator, and no other', t => {
  const block = between(read('coordinator/machine.ts'), '    };\n    return {', '\n    };');
  const commands = [...block.matchAll(/^ {6}'?([a-z-]+)'?:/gm)].map(match => match[1]!);
  t.true(commands.length > 0);
  t.deepEqual(documentedCommands('### Coordinator commands'), commands.sort());
});

test('docs/protocol.md has every command of the witness, and no other', async t => {
  const server = witnessServer({} as WitnessStore);
  await server.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close());
  const client = await QmpClient.connect({ host: '127.0.0.1', port: server.port });
  t.teardown(() => client.close());
  const names = (await client.execute('query-commands')) as { name: string }[];
  const shared = ['qmp_capabilities', 'query-commands'];
  const own = names.map(({ name }) => name).filter(name => !shared.includes(name));
  t.deepEqual(documentedCommands('### Witness commands'), own.sort());
});

test('docs/operations.md has every command of curlingctl with its words, and no other', t => {
  const rows = markdown.rowNames(markdown.section(operations, '### curlingctl'));
  const calls = Object.entries(COMMANDS).map(([name, { usage }]) =>
    `curlingctl ${name} ${usage}`.trimEnd(),
  );
  t.deepEqual(rows.filter(row => !row.startsWith('--')).sort(), calls.sort());
});

test('docs/operations.md says of which commands of curlingctl an option is', t => {
  const text = markdown.section(operations, '### curlingctl');
  const documented = new Map<string, string[]>();
  let option = '';
  // A row without a name is one more of the option above it.
  for (const [, name, commands] of text.matchAll(
    /^\| (?:`--([a-z-]+)[^`]*` )?\| ([a-z, -]+) \|/gm,
  )) {
    option = name ?? option;
    if (option === '' || commands === 'of') continue;
    documented.set(option, [...(documented.get(option) ?? []), ...commands!.split(', ')].sort());
  }
  const owners = CTL_OPTIONS.map((name): [string, string[]] => [
    name,
    Object.keys(COMMANDS)
      .filter(command => Object.hasOwn(COMMANDS[command]!.options, name))
      .sort(),
  ]);
  t.deepEqual([...documented].sort(), owners);
});

test('docs/protocol.md has every event of the proxy, and no other', t => {
  const events = emitted(read('proxy/main.ts'));
  t.true(events.length > 0);
  t.deepEqual(documentedEvents('### Proxy events'), events.sort());
});

test('docs/protocol.md has every event of the coordinator, and no other', t => {
  const source = ['coordinator', 'drill', 'machine', 'primary', 'backup']
    .map(name => read(`coordinator/${name}.ts`))
    .join('\n');
  const notices = read('coordinator/notices.ts');
  const table = between(notices, 'EVENT_OF: Record<HostNotice, string> = {', '};');
  const told = [...table.matchAll(/: '([A-Z_]+)'/g)].map(match => match[1]!);
  t.true(told.length > 0);
  const events = new Set([...told, ...emitted(source)]);
  t.deepEqual(documentedEvents('### Coordinator events'), [...events].sort());
});

test('docs/protocol.md has every state of a host and every message of the wire, and no other', t => {
  t.deepEqual(documentedEvents('### Host states'), [...HOST_STATES].sort());
  const rows = markdown.section(protocol, '### Messages').matchAll(/^\| (\d+) \| ([A-Z_]+) \|/gm);
  const documented = Object.fromEntries([...rows].map(([, type, name]) => [name, Number(type)]));
  const upper = (name: string) => name.replace(/[A-Z]/g, '_$&').toUpperCase();
  const messages = Object.entries(MESSAGE).map(([name, type]) => [upper(name), type]);
  t.deepEqual(documented, Object.fromEntries(messages));
});

test('docs/operations.md names every variable that curling reads for tests', t => {
  const sources = ['coordinator/sabotage.ts', 'common/test-stop.ts'].map(read).join('\n');
  const names = [...sources.matchAll(/environment\.(CURLING_\w+)/g)].map(match => match[1]!);
  t.true(names.length > 0);
  const documented = markdown.section(operations, '## Hacking');
  for (const name of names) t.true(documented.includes(`\`${name}\``), name);
});
