import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { inRepository } from '../../lab/paths.ts';

const SCRIPT = inRepository('install/libvirt/standby-command');
const MONITOR = ['-chardev', 'socket,id=charmonitor,fd=26,server=on,wait=off'];

/** A root with a process that has these words, and tap0 open as 30. */
function rootOf(t: ExecutionContext, words: readonly string[]): string {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-libvirt-'));
  t.teardown(() => fs.rmSync(root, { recursive: true, force: true }));
  for (const folder of ['run/libvirt/qemu', 'proc/71/fdinfo'])
    fs.mkdirSync(path.join(root, folder), { recursive: true });
  fs.writeFileSync(path.join(root, 'run/libvirt/qemu/web.pid'), '71');
  fs.writeFileSync(path.join(root, 'proc/71/cmdline'), words.map(word => `${word}\0`).join(''));
  fs.writeFileSync(path.join(root, 'proc/71/fdinfo/3'), 'pos:\t0\nflags:\t02\n');
  fs.writeFileSync(path.join(root, 'proc/71/fdinfo/30'), 'pos:\t0\niff:\ttap0\n');
  return root;
}

async function printed(t: ExecutionContext, words: readonly string[], guest = 'web') {
  const env = { ...process.env, CURLING_TEST_ROOT: rootOf(t, words) };
  return promisify(execFile)(SCRIPT, [guest], { env }).catch(
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}

test('what belongs to one libvirt alone is left away, and a tap is named', async t => {
  const words = [
    ...['/usr/bin/qemu-system-x86_64', '-name', 'guest=web,debug-threads=on', '-S'],
    ...[
      '-object',
      '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/x/master-key.aes"}',
    ],
    ...['-machine', 'pc-i440fx-7.2,usb=off,memory-backend=pc.ram', '-m', 'size=128k'],
    ...['-object', '{"qom-type":"memory-backend-ram","id":"pc.ram","size":134217728}'],
    ...['-object', '{"qom-type":"rng-builtin","id":"objrng0"}'],
    ...[...MONITOR, '-mon', 'chardev=charmonitor,id=monitor,mode=control', '-no-shutdown'],
    ...['-append', 'say "hello" \\ mem=1'],
    ...['-netdev', '{"type":"tap","fd":"30","vhost":true,"vhostfd":"31","id":"hostnet0"}'],
    ...['-device', '{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","addr":"0x2"}'],
    ...['-qmp', 'unix:/run/curling-qemu/web.qmp,server=on,wait=off'],
  ];
  const expected = `command = [
  "/usr/bin/qemu-system-x86_64",
  "-name",
  "guest=web,debug-threads=on",
  "-machine",
  "pc-i440fx-7.2,usb=off,memory-backend=pc.ram",
  "-m",
  "size=128k",
  "-object",
  "{\\"qom-type\\":\\"rng-builtin\\",\\"id\\":\\"objrng0\\"}",
  "-append",
  "say \\"hello\\" \\\\ mem=1",
  "-netdev",
  "tap,id=hostnet0,ifname=tap0,script=no,downscript=no,vhost=off",
  "-device",
  "{\\"driver\\":\\"virtio-net-pci\\",\\"netdev\\":\\"hostnet0\\",\\"id\\":\\"net0\\",\\"addr\\":\\"0x2\\"}",
]
`;
  const { stdout, stderr } = await printed(t, words);
  t.is(stderr, '');
  t.is(stdout, expected);
});

test('the words of an older libvirt are understood as well', async t => {
  const words = ['qemu', ...MONITOR, '-netdev', 'tap,fd=30,id=hostnet0,vhost=on,vhostfd=31'];
  const named = 'tap,id=hostnet0,ifname=tap0,script=no,downscript=no,vhost=off';
  const { stdout } = await printed(t, words);
  t.is(stdout, `command = [\n  "qemu",\n  "-netdev",\n  "${named}",\n]\n`);
});

test('what cannot be used on another host is refused, with its name', async t => {
  const refused: [string[], RegExp][] = [
    [
      ['-netdev', '{"type":"tap","fds":"30:31","id":"n"}'],
      /a network card with several queues: .*"n"/,
    ],
    [['-netdev', '{"type":"tap","fd":"3","id":"n"}'], /no tap is open for .*"n"/],
    [
      ['-chardev', 'file,id=c,path=/dev/fdset/0,append=on'],
      /that libvirt handed over open: file,id=c/,
    ],
  ];
  for (const [words, says] of refused) {
    const outcome = await printed(t, ['qemu', ...words]);
    t.like(outcome, { code: 1, stdout: '' });
    t.regex(outcome.stderr, says);
  }
  const absent = await printed(t, ['qemu'], 'db');
  t.like(absent, { code: 1, stdout: '' });
  t.regex(absent.stderr, /db\.pid cannot be read: does db run here/);
});
