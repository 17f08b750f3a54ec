import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { EventFeed } from '../../ctl/event-feed.ts';
import {
  aboutEvent,
  aboutStatus,
  type EventLine,
  lineJson,
  lineText,
} from '../../ctl/event-lines.ts';
import { coordinatorSockets } from '../../ctl/sockets.ts';
import { coordinator, folder, status } from './documents.ts';

const CTL = fileURLToPath(new URL('../../ctl/main.js', import.meta.url));
const WAIT_MS = 20_000;
const AT = new Date('2026-11-23T06:40:11.120Z');

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; !holds(); await sleep(10))
    if (Date.now() > deadline) throw new Error(`not within ${WAIT_MS} ms: ${what}`);
}

test('lines are words for people and shells, documents for programs', t => {
  const is = aboutStatus('exists', status(), AT);
  const words = 'vm:web host:kvm1 role:primary state:PROT protected:true generation:4 epoch:18230';
  t.is(lineText(is, false), `exists ${words}`);
  t.is(lineText({ kind: 'exists', data: undefined, at: AT }, false), 'exists -');
  const change = aboutEvent({
    event: 'FAILED_OVER',
    data: { vm: 'web', reason: 'kvm1 is "silent"', none: '', list: [1] },
    timestamp: { seconds: AT.getTime() / 1000 - 0.12, microseconds: 120_000 },
  });
  const text = 'vm:web reason:"kvm1 is \\"silent\\"" none:"" list:[1]';
  t.is(lineText(change, true), `2026-11-23T06:40:11.120Z change FAILED_OVER ${text}`);
  t.deepEqual(JSON.parse(lineJson(change)), {
    time: '2026-11-23T06:40:11.120Z',
    event: 'FAILED_OVER',
    ...change.data,
  });
  t.is(JSON.parse(lineJson(is)).event, 'exists');
  t.is(lineText(aboutStatus('destroy', status(), AT), false), 'destroy vm:web host:kvm1');
});

/** A feed over all coordinators in a folder, and what it has told, without the times. */
function feedOver(
  t: ExecutionContext,
  runDir: string,
  vm?: string,
): { feed: EventFeed; told: string[] } {
  const told: string[] = [];
  const feed = new EventFeed({
    find: () => coordinatorSockets([], runDir),
    vm,
    line: (line: EventLine) => {
      const { kind, name, data } = line;
      told.push([kind, name, data?.vm ?? '-'].filter(Boolean).join(' '));
    },
  });
  t.teardown(() => feed.close());
  return { feed, told };
}

test('what is comes before what changes, and new starts and new machines are followed', async t => {
  const runDir = folder(t);
  const socket = (vm: string) => path.join(runDir, vm, 'coordinator.sock');
  const web = await coordinator(t, socket('web'), () => status());
  const { feed, told } = feedOver(t, runDir);
  await feed.start();
  t.deepEqual(told, ['exists web', 'exists -']);

  web.emit('PROTECTION_LOST', { vm: 'web' });
  await until('the change is told', () => told.length === 3);
  await coordinator(t, socket('db'), () => status({ vm: 'db' }));
  await until('the new one is told', () => told.length === 4);
  await web.close();
  await until('the end is told', () => told.length === 5);
  const again = await coordinator(t, socket('web'), () => status());
  await until('the new start is told', () => told.length === 6);
  again.emit('PROTECTION_ACTIVE', { vm: 'web' });
  await until('its events are told', () => told.length === 7);
  t.deepEqual(told.slice(2), [
    'change PROTECTION_LOST web',
    'create db',
    'destroy web',
    'create web',
    'change PROTECTION_ACTIVE web',
  ]);
});

test('an event that comes while a coordinator is asked is told after it, and of one machine only', async t => {
  const runDir = folder(t);
  const server = await coordinator(t, path.join(runDir, 'web', 'coordinator.sock'), () => {
    server.emit('STATE_CHANGE', { vm: 'web' });
    return status();
  });
  await coordinator(t, path.join(runDir, 'db', 'coordinator.sock'), () => status({ vm: 'db' }));
  const { feed, told } = feedOver(t, runDir, 'web');
  await feed.start();
  await until('all is told', () => told.length === 3);
  t.deepEqual(
    told.filter(line => line !== 'exists -'),
    ['exists web', 'change STATE_CHANGE web'],
  );
});

test('a coordinator that does not answer does not keep the others from being told', async t => {
  const runDir = folder(t);
  await coordinator(t, path.join(runDir, 'a', 'coordinator.sock'), () => status({ vm: 'a' }));
  const never = new Promise<never>(() => {});
  await coordinator(t, path.join(runDir, 'b', 'coordinator.sock'), () => never as never);
  const { feed, told } = feedOver(t, runDir);
  await feed.start();
  t.deepEqual(told, ['exists a', 'exists -']);
});

test('closed before all have answered, it ends, and does not say that this is all', async t => {
  const runDir = folder(t);
  const never = new Promise<never>(() => {});
  await coordinator(t, path.join(runDir, 'a', 'coordinator.sock'), () => never as never);
  const { feed, told } = feedOver(t, runDir);
  const over = feed.start().then(() => 'over');
  feed.close();
  t.is(await Promise.race([over, sleep(WAIT_MS, 'late', { ref: false })]), 'over');
  t.deepEqual(told, []);
});

async function ctl(...args: string[]): Promise<{ status: number; said: string }> {
  const child = spawn(process.execPath, [CTL, 'events', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: WAIT_MS,
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text;
  });
  const [ended] = await once(child, 'close');
  return { status: ended as number, said };
}

test('curlingctl events ends after the snapshot or after its time, with status 0', async t => {
  const socket = path.join(folder(t), 'coordinator.sock');
  await coordinator(t, socket, () => status());
  const now = await ctl('--now', '--json', '--socket', socket);
  t.is(now.status, 0);
  const lines = now.said
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
  t.deepEqual(
    lines.map(({ event, vm }) => [event, vm]),
    [
      ['exists', 'web'],
      ['exists', undefined],
    ],
  );
  const timed = await ctl('--timeout', '1', '--timestamps', '--socket', socket);
  t.is(timed.status, 0);
  t.regex(timed.said, /^\d{4}-\d\d-\d\dT\S+Z exists vm:web .*\n\S+Z exists -\n$/);
});

test('it ends in its time while who listens there says nothing at all', async t => {
  const socket = path.join(folder(t), 'coordinator.sock');
  const server = net.createServer().listen(socket);
  await once(server, 'listening');
  t.teardown(() => server.close());
  t.deepEqual(await ctl('--timeout', '1', '--socket', socket), { status: 0, said: '' });
});
