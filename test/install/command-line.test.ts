import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { VERSION } from '../../common/version.ts';
import { outcome, REPOSITORY, SCRIPT } from './host.ts';

function install(...args: string[]) {
  return outcome('sh', [SCRIPT, ...args]);
}

test('shellcheck finds nothing in the scripts', async t => {
  const folder = path.join(REPOSITORY, 'install');
  const scripts = fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => /^curling-install$|\.sh$|^debian\/p|^libvirt\/./.test(name));
  t.true(scripts.length >= 10);
  const files = scripts.map(name => path.join(folder, name));
  const args = ['--external-sources', `--source-path=${REPOSITORY}`, ...files];
  const checked = await outcome('shellcheck', args);
  t.is(checked.stdout, '');
  t.is(checked.status, 0, checked.stderr);
});

test('--help and --version need nothing else', async t => {
  const help = await install('--help');
  t.is(help.status, 0);
  t.regex(help.stdout, /^usage: curling-install --tap TAP/);
  t.is((await install('--version')).stdout, `curling-install ${VERSION}\n`);
});

for (const [args, says] of [
  ['', /--tap or --files: required/],
  ['--tap', /--tap: expected a value/],
  ['--tap=', /--tap: expected a value/],
  ['--tap a234567890123456 --bridge br0', /1 to 15/],
  ['--tap tap0 --bridge b234567890123456', /--bridge: expected the name of an interface/],
  ['--tap ../x --bridge br0', /--tap: expected the name of an interface/],
  ['--tap $(x) --bridge br0', /--tap: expected the name of an interface/],
  ['--tap -x --bridge br0', /--tap: expected the name of an interface/],
  ['--tap tap0 --frobnicate', /--frobnicate: unknown option/],
  ['--tap tap0 --undo=yes', /--undo: takes no value/],
  ['--tap tap0 --force', /--force: goes only with --undo/],
  ['--tap tap0 --print-config netplan --bridge br0', /expected ifupdown or networkd/],
  ['--tap tap0 --print-config networkd', /needs --bridge/],
  ['--files --tap tap0', /--files: goes only with/],
  ['--files --destdir relative', /expected an absolute path/],
] as const) {
  test(`refused as a wrong command line: ${args || 'nothing'}`, async t => {
    const ended = await install(...args.split(' ').filter(Boolean));
    t.is(ended.status, 2, ended.stderr);
    t.regex(ended.stderr, says);
    t.is(ended.stdout, '');
  });
}

test('what is to be written for boot says owner and queues', async t => {
  const args = ['--tap', 'tap0', '--bridge=br0', '--owner', 'qemu', '--multi-queue'];
  const ifupdown = await install(...args, '--print-config', 'ifupdown');
  t.is(ifupdown.status, 0);
  t.regex(ifupdown.stdout, /ip tuntap add dev tap0 mode tap vnet_hdr user qemu multi_queue$/m);
  t.regex(ifupdown.stdout, /address fe(:[0-9a-f]{2}){5} /);
  const networkd = await install(...args, '--print-config', 'networkd');
  t.regex(networkd.stdout, /^User=qemu\nMultiQueue=yes$/m);
  t.regex(networkd.stdout, /^MACAddress=fe(:[0-9a-f]{2}){5}$/m);
});
