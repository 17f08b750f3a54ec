/** What the journal is told of a line: the priority in front of it, when it is the journal that reads. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { journalPrefix } from '../../common/log.ts';

const LOG = new URL('../../common/log.js', import.meta.url).href;
const SCRIPT = `import { createLogger } from '${LOG}';
  const log = createLogger('program', 'debug').child({ vm: 'web' });
  for (const level of ['debug', 'info', 'warn', 'error', 'fatal']) log[level](level);`;

/** What a program logs into a file, which JOURNAL_STREAM names by `stream`. */
function logged(t: ExecutionContext, stream: (stat: fs.Stats) => string | undefined): string[] {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-log-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  const fd = fs.openSync(path.join(folder, 'log'), 'w');
  const { JOURNAL_STREAM: _inherited, ...env } = process.env;
  const named = stream(fs.fstatSync(fd));
  if (named !== undefined) env.JOURNAL_STREAM = named;
  const args = ['--input-type=module', '--eval', SCRIPT];
  const { status } = spawnSync(process.execPath, args, { env, stdio: ['ignore', 'ignore', fd] });
  fs.closeSync(fd);
  t.is(status, 0);
  return fs.readFileSync(path.join(folder, 'log'), 'utf8').trimEnd().split('\n');
}

test('each line for the journal carries its priority', t => {
  const lines = logged(t, ({ dev, ino }) => `${dev}:${ino}`);
  t.deepEqual(
    lines.map(line => line.slice(0, 3)),
    ['<7>', '<6>', '<4>', '<3>', '<2>'],
  );
  for (const line of lines) t.is(JSON.parse(line.slice(3)).vm, 'web');
});

test('without the journal, or with the stream of somebody else, a line is JSON and nothing else', t => {
  for (const stream of [() => undefined, ({ dev, ino }: fs.Stats) => `${dev}:${ino + 1}`]) {
    const lines = logged(t, stream);
    t.is(lines.length, 5);
    t.deepEqual(
      lines.map(line => JSON.parse(line).msg),
      ['debug', 'info', 'warn', 'error', 'fatal'],
    );
  }
});

test('levels between those that have a name count as the one below', t => {
  t.is(journalPrefix(10), '<7>');
  t.is(journalPrefix(35), '<6>');
  t.is(journalPrefix(99), '<2>');
});
