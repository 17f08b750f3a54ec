import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { helpText, type OptionSpec } from '../../common/options.ts';
import { specOf } from '../../ctl/command.ts';
import { COMMANDS } from '../../ctl/commands.ts';
import { ctlHelp, parseCtlLine } from '../../ctl/line.ts';

const CTL = fileURLToPath(new URL('../../ctl/main.js', import.meta.url));

function parse(...argv: string[]) {
  const { name, line } = parseCtlLine(COMMANDS, argv);
  return { name, words: line.positionals, values: line.values };
}

test('a command is found wherever its options stand', t => {
  for (const argv of [
    ['status', 'web', '--json', '--socket', 's'],
    ['--json', '--socket', 's', 'status', 'web'],
  ]) {
    const { name, words, values } = parse(...argv);
    t.is(name, 'status');
    t.deepEqual(words, ['web']);
    t.true(values.json);
    t.deepEqual(values.socket, ['s']);
  }
  t.deepEqual(parse('keygen', 'a', 'b').words, ['a', 'b']);
  t.is(parse('--version').name, undefined);
});

const WRONG: [argv: string[], message: RegExp][] = [
  [[], /expected one of status, .*, got nothing; curlingctl --help/],
  [['statsu'], /got statsu; did you mean status\?/],
  [['constructor'], /got constructor; curlingctl --help/],
  [['status', '--replace'], /status has no --replace, which belongs to keygen; curlingctl status/],
  [['--yes', 'events'], /events has no --yes, which belongs to failover/],
  [['status', '--jsno'], /--jsno/],
  [['status', '--json=1'], /--json/],
  [['events', '--timeout'], /--timeout/],
  [['status', 'web', 'db'], /at most one machine's name, got also db/],
  [['version', 'web'], /expected options only, got web/],
];
for (const [argv, message] of WRONG) {
  test(`curlingctl ${argv.join(' ')} is no command line, and says why`, t => {
    t.throws(() => parse(...argv), { code: 'CURLING_USAGE', message });
  });
}

test('an option is of one type, whichever command has it', t => {
  const kinds = new Map<string, OptionSpec>();
  for (const { options } of Object.values(COMMANDS)) {
    for (const [name, option] of Object.entries(options)) {
      const before = kinds.get(name) ?? option;
      t.deepEqual([option.type, option.multiple], [before.type, before.multiple], name);
      kinds.set(name, option);
    }
  }
});

test('the help has every command, and of each its options, on one screen', t => {
  const all = ctlHelp(COMMANDS);
  t.true(all.split('\n').length <= 24);
  for (const [name, command] of Object.entries(COMMANDS)) {
    t.regex(all, new RegExp(`^ {2}${name}\\b.*${command.summary}$`, 'm'));
    const own = helpText(specOf(name, command));
    t.true(own.startsWith(`Usage: curlingctl ${name}`));
    t.true(own.split('\n').length <= 24, name);
    for (const line of own.split('\n')) t.true(line.length <= 100, line);
    for (const option of Object.keys(command.options))
      t.regex(own, new RegExp(`^ {2}--${option}`, 'm'));
  }
});

test('as an operator types it: help of a command, versions, a wrong word', t => {
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [CTL, ...args], { encoding: 'utf8', stdio: 'pipe' });
  t.regex(run('status', '--help'), /^Usage: curlingctl status \[VM\] \[options\]\n\nShows the /);
  t.regex(run('--help'), /^Usage: curlingctl COMMAND/);
  t.regex(run('version'), /^curlingctl +\d.*\nnode +\d.*\nkoffi +\d/);
  t.deepEqual(Object.keys(JSON.parse(run('version', '--json'))), [
    'curlingctl',
    'node',
    'koffi',
    '@node-rs/xxhash',
    'pcap',
    'raw-socket',
    'kernel',
  ]);
  const error = t.throws(() => run('status', '--yes')) as Error & {
    status: number;
    stderr: string;
  };
  t.is(error.status, 2);
  t.regex(error.stderr, /^curlingctl: CURLING_USAGE: status has no --yes/);
});

test('a reader that goes away is no failure', async t => {
  const child = spawn(process.execPath, [CTL, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let said = '';
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text;
  });
  const [status] = await once(child, 'close');
  t.is(said, '');
  t.is(status, 0);
});
