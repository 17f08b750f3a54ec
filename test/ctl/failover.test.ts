import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { coordinator, folder, status } from './documents.ts';

const CTL = fileURLToPath(new URL('../../ctl/main.js', import.meta.url));
const ENDS_MS = 20_000;

/** What it writes and how it ends when somebody types `typed`, and no more. */
async function failover(t: ExecutionContext, typed: string) {
  const socket = path.join(folder(t), 'coordinator.sock');
  await coordinator(t, socket, () => status());
  const child = spawn(process.execPath, [CTL, 'failover', '--socket', socket], {
    stdio: ['pipe', 'ignore', 'pipe'],
    timeout: ENDS_MS,
  });
  child.stdin.end(typed);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text;
  });
  const [ended] = await once(child, 'close');
  return { ended, said };
}

test('without an answer nothing is done, and it is a usage error', async t => {
  const { ended, said } = await failover(t, '');
  t.is(ended, 2);
  t.regex(said, /CURLING_USAGE: expected web, got the end of the input .*nothing was done/);
});

test('nor with another name', async t => {
  const { ended, said } = await failover(t, 'db\n');
  t.is(ended, 2);
  t.regex(said, /CURLING_USAGE: expected web, got "db"; nothing was done/);
});
