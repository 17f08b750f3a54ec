import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { parseToml } from '../../config/toml-file.ts';
import { standbyCommandOf, tomlOf } from '../../ctl/standby-command/derive.ts';
import { factsOf, listenerOf } from '../../ctl/standby-command/running.ts';

const TAPS = new Map([[30, 'tap7']]);

/** The words behind the program's name, and the warnings. */
function derived(words: readonly string[]): [string[], string[]] {
  const { command, warnings } = standbyCommandOf({
    argv: ['/usr/bin/qemu-system-x86_64', ...words],
    cwd: '/srv/web',
    taps: TAPS,
  });
  return [command.slice(1), warnings];
}

test('what belongs to one process alone is left away, in any of its forms', t => {
  const kept = ['-m', '16', '-device', 'virtio-net-pci,netdev=n0', '-append', '-S -qmp x'];
  const own = [
    ...['-qmp', 'unix:/run/x,server=on,wait=off', '--monitor', 'stdio', '-S', '-daemonize'],
    ...['-chardev', 'socket,id=c0,path=/x', '-mon', 'chardev=c0,mode=control', '-pidfile', '/p'],
    ...['-chardev', 'socket,id=c1,path=/y', '-mon', 'c1', '-no-shutdown', '-D', '/log'],
    ...['-incoming', 'defer', '-gdb', 'tcp::1', '-s', '-loadvm', 'x'],
    ...['-object', '{"qom-type":"secret","id":"masterKey0"}'],
    ...['-object', 'memory-backend-ram,id=mem0,size=16M'],
  ];
  const machine = ['-machine', 'pc,memory-backend=mem0'];
  t.deepEqual(derived([...kept, ...own, ...machine]), [[...kept, ...machine], []]);
  const others = ['-chardev', 'null,id=c2', '-object', 'rng-builtin,id=r0', '-nodefaults'];
  t.deepEqual(derived(others), [others, []]);
  t.deepEqual(derived(['-S', 'disk.img'])[0], ['disk.img'], 'a flag has no value');
});

test('a tap that was handed over open gets its name, and each tap a warning', t => {
  const [words, warnings] = derived([
    ...['-netdev', 'tap,id=n0,fd=30,vhost=on', '-netdev', '{"type":"tap","id":"n1","fd":"31"}'],
    ...['-netdev', 'tap,ifname=tap8,id=n2', '-netdev', 'tap,id=n3,fds=1:2', '-netdev', 'user,id=u'],
  ]);
  t.is(words[1], 'tap,id=n0,ifname=tap7,script=no,downscript=no,vhost=off');
  t.deepEqual(words.slice(3, 4), ['{"type":"tap","id":"n1","fd":"31"}']);
  t.is(words[5], 'tap,ifname=tap8,id=n2');
  const told = [/^tap tap7 must/, /no tap is open as 31/, /^tap tap8 must/, /one queue/];
  t.is(warnings.length, told.length);
  for (const [at, words] of told.entries()) t.regex(warnings[at]!, words);
});

test('what must be there on the other host is said, and relative paths are made whole', t => {
  const [words, warnings] = derived([
    ...['-kernel', 'boot/vmlinuz', '-initrd', '/srv/initrd', '-cpu', 'host', '-vnc', ':1'],
    ...['-drive', 'file=ro.img,readonly=on', '-blockdev', '{"driver":"file","filename":"/x,y"}'],
    ...['-add-fd', 'set=2,fd=9', '-cdrom', '/dev/fdset/2'],
  ]);
  t.is(words[1], '/srv/web/boot/vmlinuz');
  const text = warnings.join('\n');
  for (const part of ['/srv/web/boot/vmlinuz (-kernel)', '/srv/initrd', '-cpu host', '-vnc :1'])
    t.true(text.includes(part), part);
  t.true(text.includes('/srv/web/ro.img (-drive)') && text.includes('write it whole'));
  t.true(text.includes('/x,y (-blockdev)') && text.includes('handed over open'));
});

test('the command is printed as a file of a machine has it', t => {
  const command = ['qemu', '-append', 'say "hello" \\ a=b\u007f\n', '-m', '16'];
  const [entry] = parseToml(tomlOf(command), 'web.toml');
  t.is(entry!.key, 'command');
  t.deepEqual(entry!.value, command);
});

test('a process that listens on a socket is found with its words, and one that is no QEMU refused', async t => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-standby-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  const socket = path.join(folder, 'qmp');
  const program = `require('net').createServer().listen(${JSON.stringify(socket)}, () => console.log(1))`;
  const child = spawn(process.execPath, ['-e', program], {
    argv0: 'qemu-system-fake',
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise(resolve => child.stdout.once('data', resolve));
  t.is(listenerOf(socket), child.pid!);
  const facts = factsOf(child.pid!);
  t.deepEqual(facts.argv, ['qemu-system-fake', '-e', program]);
  t.is(facts.cwd, fs.realpathSync(folder));
  t.throws(() => factsOf(process.pid), { code: 'CURLING_CONNECT', message: /expected a QEMU/ });
  t.throws(() => factsOf(2 ** 22), { code: 'CURLING_CONNECT' });
  t.throws(() => listenerOf(path.join(folder, 'other')), { code: 'CURLING_CONNECT' });
  const server = net.createServer().listen(path.join(folder, 'mine'));
  t.teardown(() => server.close());
  t.throws(() => execFileSync(process.execPath, ['build/ctl/main.js', 'standby-command']), {
    message: /CURLING_USAGE: expected one of --from-qemu and --pid/,
  });
});
