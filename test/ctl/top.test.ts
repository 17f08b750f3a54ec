import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { QmpServer } from '../../common/qmp/server.ts';
import { plain } from '../../ctl/color.ts';
import { lineOf, printable } from '../../ctl/top/cells.ts';
import { type TopMachine, type TopState, topScreen } from '../../ctl/top/screen.ts';
import { sparkline } from '../../ctl/top/sparkline.ts';
import { keysIn } from '../../ctl/top/terminal.ts';
import { folder, status } from './documents.ts';
import { markupOf } from './picture.ts';
import { HAS_PTY, PTY } from './pty.ts';

const SIZE = { columns: 120, rows: 24 };
const SECONDS = { delayP50: [1, 2, 8.4], pauseP50: [2, 2, 2.1], epochs: [50, 60, 58] };
const NONE = { delayP50: [], pauseP50: [], epochs: [] };

function state(machines: readonly TopMachine[], selected?: string): TopState {
  return { host: 'kvm1', machines, selected, nowMs: Date.parse('2026-11-23T06:51:12Z') };
}

const WEB: TopMachine = { socket: 'web', status: status(), seconds: SECONDS };
const DB: TopMachine = {
  socket: 'db',
  status: status({ vm: 'db', state: 'SOLO', protected: false, reason: 'no backup' }),
  seconds: NONE,
};

test('bars rise with the values, and what was not measured is blank', t => {
  t.is(sparkline([0, 1, 2, 4, 8], 5), '▁▁▂▄█');
  t.is(sparkline([5, null, 5], 5), '  █ █');
  t.is(sparkline([1, 2, 3, 4], 2), '▆█');
  t.is(sparkline([0, 0], 2), '▁▁');
  t.is(sparkline([], 3), '   ');
});

test('a line is cut to the width of the terminal, whatever colours it has', t => {
  const paint = (colour: string, text: string) => `<${colour}>${text}</>`;
  t.is(lineOf(['ab', ['red', 'cdef'], 'g'], 4, paint), 'ab<red>cd</>');
  t.is(lineOf(['a💡bc'], 3, plain), 'a💡b');
  t.is(printable('a\u001b[2Jb\nc'), 'a?[2Jb?c');
});

test('the screen has the worst machine first, its figures, and all of the selected one', t => {
  const lines = topScreen(state([WEB, DB], 'web'), SIZE, plain);
  t.is(lines.length, SIZE.rows);
  t.true(lines.every(line => [...line].length <= SIZE.columns));
  t.regex(lines[0]!, /^curling on kvm1 {3}2 machines {3}06:51:12 UTC$/);
  t.regex(lines[2]!, /^ db +UNPROTECTED/);
  t.regex(lines[3]!, /^>web +PROTECTED +→ kvm2 +8\.4 ms +2\.1 ms +41\.0 KiB +58 +▁▂█$/);
  t.true(lines.some(line => line.includes('state        PROT generation 4: by kvm2')));
  t.regex(lines.at(-1)!, /q quit/);
});

test('a small terminal, many machines and none of them are shown all the same', t => {
  const error = new CurlingError('CURLING_CONNECT', 'nobody there');
  const many = Array.from({ length: 50 }, (_, at) => ({ socket: `s${at}`, error, seconds: NONE }));
  for (const [columns, rows] of [
    [20, 5],
    [1, 1],
    [80, 10],
    [300, 100],
  ] as const) {
    const lines = topScreen(state(many, 's40'), { columns, rows }, plain);
    t.is(lines.length, rows);
    t.true(lines.every(line => line.length <= columns));
  }
  const lines = topScreen(state(many, 's40'), SIZE, plain).join('\n');
  t.true(lines.includes('>s40: no answer: nobody there'), lines);
  t.regex(lines, /36 to 45 of 50|\d+ to \d+ of 50/);
  t.true(topScreen(state([]), SIZE, plain).join().includes('no coordinator runs here'));
});

test('keys are known in both modes of a terminal, also several at once', t => {
  t.deepEqual(keysIn('j\u001b[A\u001bOBxq'), ['down', 'up', 'down', 'quit']);
  t.deepEqual(keysIn('\u0003'), ['quit']);
  t.deepEqual(keysIn('é\u001b[5~'), []);
});

test('a picture has the colours of the text', t => {
  t.is(markupOf('a<\u001b[31mb\u001b[39m&'), 'a&lt;<span style="color:#ff7b72">b</span>&amp;');
});

test('without a terminal it says what to take instead', t => {
  const args = ['build/ctl/main.js', 'top'];
  const { status: end, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.is(end, 2);
  t.regex(stderr, /needs a terminal; status --watch/);
});

(HAS_PTY ? test : test.skip)('it ends at once while a coordinator does not answer', async t => {
  const socket = path.join(folder(t), 'web.sock');
  let asked = () => {};
  const first = new Promise<void>(resolve => {
    asked = resolve;
  });
  const never = new Promise<never>(() => {});
  const silent = () => {
    asked();
    return never;
  };
  const commands = { 'query-status': silent };
  const server = new QmpServer({ program: 'curling-coordinator', commands });
  await server.listen(socket);
  t.teardown(() => server.close());
  const command = [process.execPath, 'build/ctl/main.js', 'top', '--socket', socket];
  const child = spawn('python3', ['-c', PTY, '100', '30', ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text;
  });
  await first;
  child.stdin.end('q');
  const ended = once(child, 'close').then(() => 'ended');
  t.is(await Promise.race([ended, sleep(10_000, 'runs on', { ref: false })]), 'ended');
  t.regex(said, /STATUS 0 CANONICAL 1 ECHO 1/);
});

for (const [how, end] of [
  ['q', 'key'],
  ['SIGTERM', 'signal'],
] as const) {
  (HAS_PTY ? test : test.skip)(
    `in a real terminal it draws, and gives it back (${end})`,
    async t => {
      const socket = path.join(folder(t), 'web.sock');
      const rows = { intervalMs: 1000, rowsMax: 900, first: 0, firstAt: 0, columns: SECONDS };
      const history = {
        cursor: 'a.1.1',
        reset: true,
        more: false,
        states: [],
        fine: rows,
        coarse: rows,
      };
      const server = new QmpServer({
        program: 'curling-coordinator',
        commands: { 'query-status': () => status(), 'query-history': () => history },
      });
      await server.listen(socket);
      t.teardown(() => server.close());
      const command = [process.execPath, 'build/ctl/main.js', 'top', '--socket', socket];
      const child = spawn('python3', ['-c', PTY, '100', '30', ...command], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, NO_COLOR: '1' },
      });
      t.teardown(() => void child.kill('SIGKILL'));
      let said = '';
      child.stdout.setEncoding('utf8').on('data', text => {
        said += text;
        if (!said.includes('PROTECTED') || child.stdin.writableEnded) return;
        if (how === 'q') child.stdin.end('q');
        else {
          child.stdin.end();
          const { pid } = child;
          const own = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
          process.kill(Number(own.stdout), how);
        }
      });
      await once(child, 'close');
      t.true(said.startsWith('\u001b[?1049h\u001b[?25l'));
      t.regex(said, /curling on/);
      t.regex(said, />web +.*PROTECTED/s);
      const [, after = ''] = said.split('\u001b[?25h\u001b[?1049l');
      t.is(after.trim(), 'STATUS 0 CANONICAL 1 ECHO 1');
    },
  );
}
