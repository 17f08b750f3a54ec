import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { startTimeOf } from '../../lab/processes.ts';
import { until } from '../coordinator/bench.ts';
import { HOOK, HookBench } from './hook-bench.ts';

const PREPARE = ['web', 'prepare', 'begin', '-'];
const STARTS_PROXY = 'start curling-proxy@tap0.service';

/** All that libvirt says to a hook of the qemu driver, but `prepare`: https://libvirt.org/hooks.html */
const OTHERS = [
  ['start', 'begin', '-'],
  ['started', 'begin', '-'],
  ['stopped', 'end', '-'],
  ['stopped', 'end', 'destroyed'],
  ['release', 'end', '-'],
  ['release', 'end', 'shutdown'],
  ['migrate', 'begin', '-'],
  ['restore', 'begin', '-'],
  ['reconnect', 'begin', '-'],
  ['attach', 'begin', '-'],
  ['of-a-later-libvirt', 'begin', '-'],
];

test('before a guest starts its proxy is started, and nothing is said', async t => {
  const bench = new HookBench(t);
  t.deepEqual(await bench.call(PREPARE), { status: 0, stdout: '', stderr: '' });
  t.deepEqual(bench.calls, [STARTS_PROXY]);
});

test('every other operation changes nothing, ends with 0 and leaves the XML as it is', async t => {
  const bench = new HookBench(t);
  bench.systemctl('exit 1');
  for (const words of OTHERS) {
    const { status, stdout } = await bench.call(['web', ...words]);
    t.is(status, 0, words.join(' '));
    t.is(stdout, '', words.join(' '));
  }
  t.deepEqual(bench.calls, []);
});

test('a guest without a file of its own is none of our business', async t => {
  const bench = new HookBench(t);
  bench.systemctl('exit 1');
  fs.writeFileSync(bench.path('etc/curling/x.toml'), 'tap = "tap0"\n');
  fs.writeFileSync(bench.path('etc/curling/vm/a b.toml'), 'tap = "tap0"\n');
  for (const name of ['db', '', '../x', 'a b', '.web', '-n', '*', 'web\n', '$(id)']) {
    const outcome = await bench.call([name, 'prepare', 'begin', '-']);
    t.deepEqual(outcome, { status: 0, stdout: '', stderr: '' }, JSON.stringify(name));
  }
  t.deepEqual(await bench.call([]), { status: 0, stdout: '', stderr: '' });
  t.deepEqual(bench.calls, []);
});

test('the proxy is that of the first tap, however the file writes it', async t => {
  const bench = new HookBench(t);
  const files = [
    'tap = "tap0"',
    "tap = ['tap0', 'tap1']",
    '# tap = "tap9"\nqmp = "/x"\n  tap=["tap0","tap1"]  # "tap8"',
    'command = [\n  "qemu", "-netdev", "tap,id=tap7"\n]\ntap = [ # both\n\n  "tap0",\n  "tap1",\n]\n',
    '"tap" = ["tap0"]\n\n[curling-proxy]\ntap = "tap5"',
  ];
  for (const file of files) {
    bench.vmFile(file);
    t.is((await bench.call(PREPARE)).status, 0, file);
  }
  t.deepEqual(
    bench.calls,
    files.map(() => STARTS_PROXY),
  );
});

test('a unit is called as systemd has it, which reads a dash as a slash', async t => {
  const bench = new HookBench(t, 'tap = "tap-web-0"');
  t.is((await bench.call(PREPARE)).status, 0);
  t.deepEqual(bench.calls, [String.raw`start curling-proxy@tap\x2dweb\x2d0.service`]);
});

test('a file that names no tap keeps its guest from starting', async t => {
  const bench = new HookBench(t);
  for (const file of [
    '',
    '[curling-proxy]\ntap = "tap0"\n',
    'tap = "a b"',
    'tap = ".a"',
    'taps = "tap0"',
  ]) {
    bench.vmFile(file);
    const { status, stdout, stderr } = await bench.call(PREPARE);
    t.is(status, 1, file);
    t.is(stdout, '');
    t.regex(stderr, /^curling: web is not started: found no tap in .*web\.toml\n$/);
  }
  t.deepEqual(bench.calls, []);
});

test('without its proxy a guest is not started, and the reason is said', async t => {
  const bench = new HookBench(t);
  bench.systemctl('echo Unit curling-proxy@tap0.service not found. >&2; exit 5');
  const { status, stdout, stderr } = await bench.call(PREPARE);
  t.is(status, 1);
  t.is(stdout, '');
  t.regex(stderr, /^curling: web is not started: its proxy does not hold: .*not found\.\n$/);
});

test('a service manager that hangs is given up, and its client is ended', async t => {
  const bench = new HookBench(t);
  bench.systemctl('trap "" TERM INT HUP; while :; do sleep 1; done');
  const { status, stderr } = await bench.call(PREPARE);
  t.is(status, 1);
  t.regex(stderr, /could not be started within 5 s/);
  await until('it is ended', () => bench.pids.length === 1 && startTimeOf(bench.pids[0]!) === 0);
});

test('a pipe that libvirt does not close keeps nobody', async t => {
  const bench = new HookBench(t);
  t.is((await bench.call(PREPARE, 'never ends')).status, 0);
  t.is((await bench.call(['web', 'reconnect', 'begin', '-'], 'never ends')).status, 0);
  t.is((await bench.call(PREPARE, Buffer.alloc(4 << 20, ' '))).status, 0);
});

async function serve(t: ExecutionContext, socket: string): Promise<void> {
  const server = net.createServer();
  await new Promise<void>(resolve => server.listen(socket, resolve));
  t.teardown(() => server.close());
}

test('a proxy that somebody started by hand does as well', async t => {
  const bench = new HookBench(t);
  bench.systemctl('exit 1');
  fs.writeFileSync(bench.path('run/curling/proxy-tap0.sock'), '');
  t.is((await bench.call(PREPARE)).status, 1, 'what a killed one left is no proxy');
  fs.rmSync(bench.path('run/curling/proxy-tap0.sock'));
  await serve(t, bench.path('run/curling/proxy-tap0.sock'));
  t.deepEqual(await bench.call(PREPARE), { status: 0, stdout: '', stderr: '' });
});

test('a guest whose tap a QEMU of curling has open is not started', async t => {
  const bench = new HookBench(t);
  bench.carrier('tap0', 0);
  bench.carrier('tap1', 1);
  t.is((await bench.call(PREPARE)).status, 0);
  bench.carrier('tap0', 1);
  const { status, stderr } = await bench.call(PREPARE);
  t.is(status, 1);
  t.regex(stderr, /^curling: web is not started: a QEMU has tap0 open, as curling's standby/);
  t.deepEqual(bench.calls, [STARTS_PROXY], 'only before');
});

test('the hook can be executed, and a shell of POSIX finds nothing wrong', t => {
  t.is(fs.statSync(HOOK).mode & 0o111, 0o111);
  t.is(execFileSync('sh', ['-n', HOOK], { encoding: 'utf8' }), '');
});
