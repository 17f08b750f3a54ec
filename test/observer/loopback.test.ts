import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import { BulkClient, upload } from '../../lab/client/bulk.ts';
import { CasServer } from '../../lab/client/cas-server.ts';
import { ControlClient, SERVICE_PORTS, type ServiceName } from '../../lab/client/control.ts';
import { EchoClient } from '../../lab/client/echo.ts';
import { RecordsClient } from '../../lab/client/records.ts';
import { type CasGuestStatus, type CasLogEntry, judgeCas } from '../../lab/observer/cas-judge.ts';
import { chainsOf } from '../../lab/observer/history.ts';
import { Offences } from '../../lab/observer/offences.ts';
import { freePortBase, scratchFolder, startGuest } from './guest-program.ts';

const HOST = '127.0.0.1';
const ANY = { host: HOST, port: 0 };

/** Asks again until it is so; AVA's own time limit bounds it. */
async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 5));
}

interface Guest {
  portBase: number;
  control(service: ServiceName): Promise<ControlClient>;
  service(name: keyof typeof SERVICE_PORTS): { host: string; port: number };
}

async function guest(t: ExecutionContext, ...words: string[]): Promise<Guest> {
  const portBase = await freePortBase();
  await startGuest(t, [`port-base=${portBase}`, ...words]);
  return {
    portBase,
    control: async service => {
      const client = await ControlClient.connect({ host: HOST, portBase }, service);
      t.teardown(() => client.close());
      return client;
    },
    service: name => ({ host: HOST, port: portBase + SERVICE_PORTS[name] }),
  };
}

test.serial('records: what is seen outside is what the guest remembers, chain and all', async t => {
  const receiver = await RecordsClient.start(ANY);
  const { port } = receiver.address;
  const { control } = await guest(t, `records=2000:${HOST}:${port}`);
  const records = await control('records');
  await until(() => receiver.summary().records > 200);
  const { facts } = await records.command('stop');
  await until(() => receiver.summary().last === facts.last);
  const history = await records.history();
  const seen = await receiver.stop();
  t.like(seen, { repeated: 0, contradicted: 0, brokenChains: 0, missing: 0, foreign: 0, first: 1 });
  t.like(history, { run: facts.run, first: 1, count: facts.last, last: facts.last });
  const piece = await records.history(100, 101);
  t.deepEqual(piece.nonces, history.nonces.subarray(99 * 16, 101 * 16));
  t.is(piece.chain, chainsOf(history)[98]!);
  t.is((await records.history(1e9)).count, 0);
});

test.serial('records: a start after a stop goes on with the next sequence', async t => {
  const receiver = await RecordsClient.start(ANY);
  const { control } = await guest(t);
  const records = await control('records');
  for (const wanted of [5, 20]) {
    await records.command(`start 500 ${HOST} ${receiver.address.port}`);
    await until(() => receiver.summary().records > wanted);
    await records.command('stop');
  }
  const { facts } = await records.command('status');
  await until(() => receiver.summary().last === facts.last);
  t.like(await receiver.stop(), { missing: 0, brokenChains: 0, repeated: 0 });
});

test.serial('echo: round trips are counted by label and checked', async t => {
  const client = await EchoClient.start({
    to: (await guest(t)).service('echo'),
    rate: 500,
    messageBytes: 3000,
  });
  await until(() => client.summary().roundTrips.count > 20);
  client.label('second');
  await until(() => (client.summary().labels.second?.count ?? 0) > 20);
  const summary = await client.stop();
  t.like(summary, { wrongBytes: 0, outstanding: 0, lost: undefined, skipped: 0 });
  t.is(client.summary().roundTrips.count, client.summary().sent);
});

test.serial('echo: a lost connection is told and not made again', async t => {
  const portBase = await freePortBase();
  const child = await startGuest(t, [`port-base=${portBase}`]);
  const client = await EchoClient.start({
    to: { host: HOST, port: portBase + SERVICE_PORTS.echo },
    rate: 500,
    messageBytes: 64,
  });
  await until(() => client.summary().roundTrips.count > 3);
  child.kill('SIGKILL');
  await client.lost;
  const { sent, lost } = client.summary();
  t.truthy(lost);
  await client.stop();
  t.is(client.summary().sent, sent);
});

test.serial('bulk: every byte from the guest, and the digest of every byte to it', async t => {
  const { service } = await guest(t);
  const options = { bytes: 3_000_001, seed: 42 };
  const client = await BulkClient.start({ to: service('bulk'), ...options });
  await client.done;
  t.like(await client.stop(), { complete: true, bytes: options.bytes, wrongBytes: 0 });
  t.like(await upload({ to: service('sink'), ...options }), { correct: true });
  const other = await BulkClient.start({ to: service('bulk'), bytes: 1000, seed: 0 });
  await other.done;
  t.like(await other.stop(), { wrongBytes: 0, lost: undefined });
});

test.serial('compare-and-swap: the register and the guest agree', async t => {
  const log = join(scratchFolder(), 'cas.jsonl');
  const server = await CasServer.start({ listen: ANY, log });
  const { control } = await guest(t, `cas=${HOST}:${server.address.port}:1000`);
  const cas = await control('cas');
  await until(() => server.summary().applied > 50);
  const status = (await cas.command('stop')).facts as unknown as CasGuestStatus;
  const history = await cas.history();
  const summary = await server.stop();
  t.like(summary, { connections: 1, contradicted: 0, repeated: 0, skipped: 0, malformed: 0 });
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  const entries = lines.map(line => JSON.parse(line) as CasLogEntry);
  const judged = judgeCas({ log: entries, history, status }, new Offences());
  t.deepEqual(judged, {
    operations: status.applied,
    contradicted: 0,
    uncommitted: 0,
    connectionsLost: 0,
    unjudged: 0,
  });
  t.is(status.current, server.register.summary().current);
});

test.serial('compare-and-swap: a lost connection is counted and not made again', async t => {
  const server = await CasServer.start({ listen: ANY });
  const { control } = await guest(t, `cas=${HOST}:${server.address.port}:1000`);
  const cas = await control('cas');
  await until(() => server.summary().applied > 3);
  await server.stop();
  await until(async () => (await cas.command('status')).facts.connectionsLost === 1);
  t.like((await cas.command('status')).facts, { running: false, connected: false });
});

test.serial('dirty: pages are written at about the rate and hold what they should', async t => {
  const { control } = await guest(t, 'dirty=2000:1');
  const dirty = await control('dirty');
  await until(async () => Number((await dirty.command('status')).facts.written) > 300);
  await dirty.command('stop');
  t.like((await dirty.command('verify')).facts, { torn: 0, pages: 256, running: false });
});

test.serial('build: units are made, saved and made again', async t => {
  const { control } = await guest(t, 'build=500');
  const build = await control('build');
  await until(async () => Number((await build.command('status')).facts.units) > 80);
  await t.throwsAsync(build.command('start 0'), { code: 'CURLING_COMMAND_FAILED' });
  t.like((await build.command('stop')).facts, { running: false, rate: 500, failed: 0 });
});

test.serial('control: wrong commands are refused in words and harm nothing', async t => {
  const { control } = await guest(t, 'idle', 'nonsense=1', 'records=0:1:2');
  const records = await control('records');
  for (const command of ['start', 'start 0 1.2.3.4 5', 'start 5 nowhere 5', 'start 5 1.2.3.4 0'])
    await t.throwsAsync(records.command(command), { code: 'CURLING_COMMAND_FAILED' });
  await t.throwsAsync((await control('dirty')).command('start 5 0'));
  await t.throwsAsync((await control('cas')).command('start 1.2.3.4 5'));
  const all = await control('all');
  t.deepEqual(Object.keys((await all.command('status')).facts), [
    'records',
    'cas',
    'dirty',
    'build',
    'streams',
  ]);
  // A line without end closes that connection, and only that.
  await t.throwsAsync(records.command('x'.repeat(600)), { code: 'CURLING_CONNECTION_LOST' });
  t.like((await (await control('records')).command('status')).facts, { running: false });
});

interface Line {
  type: string;
  [name: string]: unknown;
}

/** Runs a client as its own process and hands its lines on. */
function client(t: ExecutionContext, name: string, ...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [`build/lab/client/${name}.js`, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const lines: Line[] = [];
  createInterface(child.stdout!).on('line', line => lines.push(JSON.parse(line)));
  return { child, lines, closed: once(child, 'close') };
}

test.serial('each client runs as a process and ends in order in each of its ways', async t => {
  const { service, portBase } = await guest(t);
  const { host, port } = service('echo');
  const ways: ((child: ChildProcess) => void)[] = [
    child => child.stdin?.write('stop\n'),
    child => child.stdin?.end(),
    child => child.kill('SIGTERM'),
  ];
  for (const end of ways) {
    const { child, lines, closed } = client(t, 'echo', '--to', `${host}:${port}`, '--progress=20');
    child.stdin?.write('label later\n');
    await until(() => lines.some(line => line.type === 'progress'));
    await until(() => lines.some(line => line.type === 'answer' && line.label === 'later'));
    end(child);
    t.deepEqual(await closed, [0, null]);
    t.is(lines[0]?.type, 'ready');
    t.like(lines.at(-1), { type: 'summary', wrongBytes: 0 });
  }
  const base = ['--guest', HOST, '--port-base', `${portBase}`];
  const control = client(t, 'control', ...base, 'records history', 'dirty status');
  t.deepEqual(await control.closed, [0, null]);
  const answers = control.lines.filter(line => line.type === 'answer');
  t.like(answers[0], { count: 0, nonces: '' });
  t.like(answers[1], { running: false });
});
