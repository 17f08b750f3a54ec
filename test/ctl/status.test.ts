import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { coordinator, folder, status } from './documents.ts';

const CTL = fileURLToPath(new URL('../../ctl/main.js', import.meta.url));

async function show(...args: string[]) {
  const child = spawn(process.execPath, [CTL, 'status', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text;
  });
  const [ended] = await once(child, 'close');
  return { ended, said };
}

test('a machine that is not known here is told apart from a host without any', async t => {
  const sockets = ['web', 'db'].map(vm => path.join(folder(t), `${vm}.sock`));
  for (const socket of sockets) {
    const vm = path.basename(socket, '.sock');
    await coordinator(t, socket, () => status({ vm }));
  }
  const named = sockets.flatMap(socket => ['--socket', socket]);
  const other = await show('wbe', ...named);
  t.deepEqual(other, {
    ended: 3,
    said: 'no coordinator of wbe runs here; there are those of db, web\n',
  });
  const known = await show('web', ...named);
  t.is(known.ended, 0);
  t.regex(known.said, /^web /);
  t.deepEqual(await show('wbe', '--json', ...named), { ended: 3, said: '[]\n' });
});
