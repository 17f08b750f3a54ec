import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import { accountOf, type CaptureResult, startCapture } from '../../lab/observer/capture.ts';
import { parseHistory } from '../../lab/observer/history.ts';
import { frames, hasComeTo, observe } from '../../lab/observer/observe.ts';
import { guestProgram, scratchFolder, startGuest } from './guest-program.ts';

const GUEST_IP = '10.99.0.9';
const CLIENT_IP = '10.99.0.1';

function ip(...args: string[]): string {
  return execFileSync('ip', args, { timeout: 10_000, encoding: 'utf8' });
}

/** Two namespaces joined by a link; the guest's program runs in one of them. */
function namespaces(t: ExecutionContext): { guest: string; client: string; mac: string } {
  const guest = `clgobs-g${process.pid}`;
  const client = `clgobs-c${process.pid}`;
  for (const name of [guest, client]) {
    ip('netns', 'add', name);
    t.teardown(() => ip('netns', 'del', name));
  }
  ip('-n', guest, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'port', 'netns', client);
  ip('-n', guest, 'addr', 'add', `${GUEST_IP}/24`, 'dev', 'eth0');
  ip('-n', client, 'addr', 'add', `${CLIENT_IP}/24`, 'dev', 'port');
  ip('-n', guest, 'link', 'set', 'eth0', 'up');
  ip('-n', client, 'link', 'set', 'port', 'up');
  const [link] = JSON.parse(ip('-n', guest, '-j', 'link', 'show', 'eth0')) as { address: string }[];
  return { guest, client, mac: link!.address };
}

function within(name: string) {
  return (command: string, args: readonly string[]) =>
    spawn('ip', ['netns', 'exec', name, command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
}

async function runClient(name: string, script: string, ...args: string[]) {
  const command = [
    'netns',
    'exec',
    name,
    process.execPath,
    `build/lab/client/${script}.js`,
    ...args,
  ];
  const child = spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: Record<string, unknown>[] = [];
  createInterface(child.stdout).on('line', line => lines.push(JSON.parse(line)));
  return { child, lines, closed: once(child, 'close') };
}

const asRoot = process.getuid?.() === 0 ? test.serial : test.serial.skip;

asRoot('root, namespaces: a captured run of the guest is judged clean', async t => {
  const folder = scratchFolder();
  const { guest, client, mac } = namespaces(t);
  const host = await startCapture({
    spawn: within(client),
    port: 'port',
    file: join(folder, 'host.pcap'),
  });
  const outside = await startCapture({
    spawn: within(guest),
    port: 'eth0',
    file: join(folder, 'client.pcap'),
  });
  const records = await runClient(client, 'records', '--listen', `${CLIENT_IP}:5000`);
  await startGuest(t, [`records=1000:${CLIENT_IP}:5000`], ['ip', 'netns', 'exec', guest]);
  const bulk = ['--to', `${GUEST_IP}:19`, '--bytes', '500000'];
  await (await runClient(client, 'bulk', ...bulk)).closed;
  const commands = ['records stop', 'records history'];
  const control = await runClient(client, 'control', '--guest', GUEST_IP, ...commands);
  await control.closed;
  records.child.stdin.end();
  await records.closed;
  const captures = [await host.stop(), await outside.stop()];
  const facts = control.lines.filter(line => line.type === 'answer')[1]!;
  const history = parseHistory(facts, Buffer.from(String(facts.nonces), 'hex'));
  // The two ends of one link: what comes in at the client's is what the host let out.
  const options = { guestIp: GUEST_IP, guestMac: mac, hostPorts: ['port'], clientPorts: ['eth0'] };
  const verdict = await observe(captures, options, { history });
  t.deepEqual(verdict.inconclusive, []);
  t.true(verdict.clean, verdict.offences.join());
  t.is(verdict.records.records, history.last - verdict.records.lost);
  t.true(verdict.records.records > 0 && verdict.tcp.payloadBytes >= 500_000);
  t.like(records.lines.at(-1), { type: 'summary', records: verdict.records.records });

  // The same captures with a history that forgot the last record.
  const nonces = history.nonces.subarray(0, -16);
  const older = { ...history, count: history.count - 1, last: history.last - 1, nonces };
  t.like(await observe(captures, options, { history: older }), { clean: false, uncommitted: 1 });
  // A capture that still runs is judged as far as its file has come.
  const [{ file }] = captures as [CaptureResult, CaptureResult];
  t.true(await hasComeTo('port', file, 0));
  t.false(await hasComeTo('port', file, Date.now()));
  t.is((await observe(captures, options, {}, 0)).records.records, 0);
  // And with one of the ports missing, or drops.
  const half = await observe(captures.slice(0, 1), options, { history });
  t.deepEqual(half.inconclusive, ['there is no capture of eth0']);
  const dropping = captures.map(capture => ({ ...capture, dropped: 2 }));
  t.is((await observe(dropping, options, { history })).inconclusive.length, 2);
});

asRoot('root, namespaces: a capture of a port that is not there is refused in words', async t => {
  const { client } = namespaces(t);
  const options = { spawn: within(client), port: 'nowhere', file: join(scratchFolder(), 'x') };
  await t.throwsAsync(startCapture(options), { name: 'ObserverError', message: /nowhere/ });
});

test('a missing tcpdump and a file that is no capture are refused in words', async t => {
  const spawnNothing = () => spawn('/nonexistent/tcpdump', { stdio: ['ignore', 'ignore', 'pipe'] });
  const options = { spawn: spawnNothing, port: 'x', file: '/nonexistent/x' };
  await t.throwsAsync(startCapture(options), { name: 'ObserverError', message: /ENOENT/ });
  const empty = async () => {
    for await (const _ of frames('x', '/dev/null'));
  };
  await t.throwsAsync(empty(), { name: 'ObserverError' });
  const program = async () => {
    for await (const _ of frames('x', guestProgram()));
  };
  await t.throwsAsync(program(), { name: 'ObserverError' });
});

test("reads tcpdump's account of itself", t => {
  const said = '12 packets captured\n14 packets received by filter\n3 packets dropped by kernel\n';
  t.deepEqual(accountOf(said), { captured: 12, dropped: 3 });
  t.deepEqual(accountOf(`${said}4 packets dropped by interface\n`), { captured: 12, dropped: 7 });
  t.deepEqual(accountOf('1 packet captured\n'), { captured: 1, dropped: undefined });
});
