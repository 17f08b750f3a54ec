import { execFile } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { promisify } from 'node:util';
import test from 'ava';
import { numberedFrame, PROXY_MAIN, TapLab, until } from './lab.ts';

const execute = promisify(execFile);

/** A filter that lets every frame go on. */
const PASS_ALL = '1,6 0 0 4294967295';

/** Runs a command that must fail, and returns its exit status and what it said. */
async function failure(command: string, ...args: string[]): Promise<[unknown, string]> {
  try {
    await execute(command, args, { timeout: 20_000 });
  } catch (error) {
    const { code, stderr } = error as { code: unknown; stderr: string };
    return [code, stderr];
  }
  throw new Error(`${command} ${args.join(' ')} did not fail`);
}

test('a command line that makes no sense is refused', async t => {
  const wrong = [
    [],
    ['--tap', ''],
    ['--tap', 'tap0', '--initial', 'maybe'],
    ['--tap', 'tap0', '--buffer-mib', '0'],
    ['--tap', 'tap0', '--buffer-mib', 'many'],
    ['--tap', 'tap0', '--log-level', 'loud'],
    ['--what'],
  ];
  for (const args of wrong) {
    const [status, text] = await failure(process.execPath, PROXY_MAIN, ...args);
    t.is(status, 2, args.join(' '));
    t.regex(text, /^curling-proxy: CURLING_USAGE: /);
  }
});

test('needs root: without capabilities, and without /dev/net/tun, it says so', async t => {
  const drop = ['--bounding-set', '-all', '--inh-caps', '-all', '--'];
  const [status, text] = await failure(
    'setpriv',
    ...drop,
    process.execPath,
    PROXY_MAIN,
    '--tap',
    'tap0',
  );
  t.is(status, 4);
  t.regex(text, /CURLING_NOT_ROOT/);

  const hidden = `mount -t tmpfs none /dev/net && exec "$0" "$1" --tap tap0`;
  const shell = ['-m', 'sh', '-c', hidden, process.execPath, PROXY_MAIN];
  const [noTunStatus, noTunText] = await failure('unshare', ...shell);
  t.is(noTunStatus, 4);
  t.regex(noTunText, /CURLING_NO_TUN/);
});

test('needs root: a tap that cannot be served is refused, and nothing is changed', async t => {
  const lab = await TapLab.create(t);
  await lab.ip([
    'link add lone0 type veth peer name lone1',
    'link add br9 type bridge',
    'link add br1 type bridge',
    'link set lone0 master br9',
    'link add mv0 link br0 type macvtap mode bridge',
  ]);
  const look = async () => (await lab.tool('ip -o link')) + (await lab.tool('tc qdisc'));
  const before = await look();
  const cases: [string[], string, number][] = [
    [['--tap', 'none0'], 'CURLING_TAP_NOT_FOUND', 4],
    [['--tap', 'lone1'], 'CURLING_TAP_NOT_ON_BRIDGE', 4],
    [['--tap', 'lone0'], 'CURLING_TAP_NOT_ON_BRIDGE', 4],
    [['--tap', 'tap0', '--bridge', 'br1'], 'CURLING_TAP_NOT_ON_BRIDGE', 4],
    [['--tap', 'br0'], 'CURLING_TAP_UNSUPPORTED', 4],
    [['--tap', 'mv0'], 'CURLING_TAP_UNSUPPORTED', 4],
    [['--tap', 'a-name-that-is-too-long'], 'CURLING_USAGE', 2],
    [['--tap', '../tap0'], 'CURLING_USAGE', 2],
  ];
  for (const [args, code, status] of cases) {
    const proxy = lab.spawnProxy(...args);
    t.is(await proxy.exited, status, code);
    t.true(proxy.log.startsWith(`curling-proxy: ${code}: `), proxy.log);
  }
  t.is(await look(), before);
});

test('needs root: a second proxy on the socket or on the tap is refused and disturbs nothing', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  const second = lab.spawnProxy('--tap', 'tap0');
  t.is(await second.exited, 4);
  t.regex(second.log, /CURLING_SOCKET_IN_USE/);

  const elsewhere = lab.spawnProxy('--tap', 'tap0', '--control', `${lab.control}2`);
  t.is(await elsewhere.exited, 1);
  t.regex(elsewhere.log, /CURLING_BUSY/);

  lab.guest.send(numberedFrame(1));
  t.is((await proxy.execute('seal')).frames, 1);
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('release', { epoch: 1 });
  t.is((await lab.outside.receiveCount(1)).length, 1);
});

test('needs root: a filter of somebody else is refused where ours belongs, and kept elsewhere', async t => {
  const lab = await TapLab.create(t);
  const addFilter = (place: string) =>
    lab.tool(`tc filter add dev tap0 ingress protocol all ${place} bpf da bytecode`, PASS_ALL);
  await lab.tool('tc qdisc add dev tap0 clsact');
  await addFilter('pref 9 handle 0x7');
  const kept = await lab.tool('tc filter show dev tap0 ingress');
  const proxy = await lab.startProxy();
  lab.guest.send(numberedFrame(1));
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('bypass');
  t.is(await proxy.end('SIGTERM'), 0);
  t.is(await lab.tool('tc filter show dev tap0 ingress'), kept);

  await addFilter('pref 1 handle 0x1');
  const before = await lab.tool('tc filter show dev tap0 ingress');
  const refused = lab.spawnProxy('--tap', 'tap0');
  t.is(await refused.exited, 4);
  t.regex(refused.log, /CURLING_TAP_UNSUPPORTED/);
  t.is(await lab.tool('tc filter show dev tap0 ingress'), before);
});

test('needs root: garbage, a huge line and silence on the control socket harm nobody', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  lab.guest.send(numberedFrame(1));
  const silent = net.connect(lab.control);
  t.teardown(() => silent.destroy());
  for (const text of ['\u0000\u00ff not json\n', 'x'.repeat(1 << 20), '[]\n{"execute":5}\n']) {
    const client = net.connect(lab.control);
    let answer = '';
    client.on('data', chunk => {
      answer += chunk;
    });
    client.on('error', () => undefined);
    client.write(text);
    await until(() => answer.includes('CURLING_MESSAGE'), 'an answer');
    client.destroy();
  }
  await t.throwsAsync(proxy.execute('frobnicate'), { code: 'CURLING_COMMAND_UNKNOWN' });
  await t.throwsAsync(proxy.execute('release'), { code: 'CURLING_MESSAGE' });
  t.is((await proxy.execute('seal', { epoch: 1 })).frames, 1);
  t.deepEqual(lab.outside.receiveAll(), []);
  t.is(proxy.child.exitCode, null);
  t.is(fs.statSync(lab.control).mode & 0o777, 0o600);
});
