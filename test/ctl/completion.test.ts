import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { COMMANDS } from '../../ctl/commands.ts';
import { bashCompletion } from '../../ctl/completion.ts';
import { folder } from './documents.ts';

const TEXT = bashCompletion(COMMANDS);

/** What a real bash offers behind these words, the last of which is being typed. */
function offered(words: readonly string[], text = TEXT, cwd = '.'): string[] {
  const line = words.map(word => `'${word}'`).join(' ');
  const script = `${text}
COMP_WORDS=(curlingctl ${line}); COMP_CWORD=${words.length}
_curlingctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const said = execFileSync('bash', ['-eu', '-c', script], { encoding: 'utf8', cwd });
  return said
    .split('\n')
    .filter(word => word !== '')
    .sort();
}

test('bash completes every command, and the options of each', t => {
  t.deepEqual(offered(['']), [...Object.keys(COMMANDS), '--help', '--version'].sort());
  t.deepEqual(offered(['un']), ['unprotect']);
  for (const [name, { options }] of Object.entries(COMMANDS)) {
    const expected = [...Object.keys(options).map(option => `--${option}`), '--help'].sort();
    t.deepEqual(offered([name, '--']), expected, name);
  }
});

test('bash completes machines, words, and the values of options', t => {
  const root = folder(t);
  for (const name of ['web', 'db']) {
    fs.mkdirSync(path.join(root, 'run', name), { recursive: true });
    fs.writeFileSync(path.join(root, 'run', name, 'coordinator.sock'), '');
  }
  fs.mkdirSync(path.join(root, 'vm'));
  fs.writeFileSync(path.join(root, 'vm/mail.toml'), '');
  // A file that is no machine's is not offered, and its name is not executed.
  const evil = `$(touch\${IFS}${path.basename(root)}).toml`;
  fs.writeFileSync(path.join(root, 'vm', evil), '');
  t.teardown(() => fs.rmSync(path.basename(root), { force: true }));
  const text = TEXT.replaceAll('/run/curling', `${root}/run`).replaceAll('/etc/curling', root);
  t.deepEqual(offered(['status', 'w'], text), ['web']);
  const all = offered(['failover', ''], text).filter(word => !word.startsWith('-'));
  t.deepEqual(all, ['db', 'mail', 'web']);
  t.false(fs.existsSync(path.basename(root)));
  t.deepEqual(offered(['completion', 'b'], text), ['bash']);
  t.deepEqual(offered(['check', '--color', 'a']), ['always', 'auto']);
  t.true(offered(['status', '--socket', 'vm/'], text, root).includes('vm/mail.toml'));
  t.deepEqual(offered(['--socket', 'x', 'drill', 'ma'], text), ['mail'], 'options may come first');
  t.deepEqual(offered(['events', '--timeout', '']), [], 'a number is not to be guessed');
});

test('curlingctl completion prints it, and a shell finds nothing wrong with it', t => {
  const said = execFileSync(process.execPath, ['build/ctl/main.js', 'completion', 'bash']);
  t.is(said.toString(), TEXT);
  const { status, stdout, error } = spawnSync('shellcheck', ['-s', 'bash', '-'], { input: TEXT });
  if (error) return t.log('shellcheck is not installed');
  t.is(status, 0, stdout.toString());
});
