import fs from 'node:fs';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { differences, InstallHost } from './host.ts';

const NEEDS = '(needs root, namespaces)';
const UNIT = 'etc/systemd/system/multi-user.target.wants/curling-proxy@tap0.service';

/** Runs curling-install and expects success. */
async function succeed(t: ExecutionContext, host: InstallHost, options: string): Promise<string> {
  const ended = await host.install(options);
  t.is(ended.status, 0, `${options}: ${ended.stderr}`);
  return ended.stdout;
}

test(`a tap that is not there is made, and gone after undo ${NEEDS}`, async t => {
  const host = await InstallHost.create(t, 'stp_state 1 forward_delay 200');
  await host.tool('ethtool -K up0 tso off');
  const before = await host.snapshot();
  await succeed(t, host, '--tap tap0 --bridge br0 --dry-run');
  t.deepEqual(differences(before, await host.snapshot()), [], 'a dry run changes nothing');
  await succeed(t, host, '--tap tap0 --bridge br0');
  const link = await host.tool('ip -d link show tap0');
  t.regex(link, /,UP> mtu 9000 .* master br0 .*\n *link\/ether fe:/);
  t.regex(link, /tun type tap .*vnet_hdr on persist on/);
  t.true(fs.lstatSync(path.join(host.root, UNIT)).isSymbolicLink());
  const prepared = await host.snapshot();
  await succeed(t, host, '--tap tap0');
  t.deepEqual(differences(prepared, await host.snapshot()), [], 'the second time changes nothing');
  await succeed(t, host, '--tap tap0 --undo --dry-run');
  t.deepEqual(
    differences(prepared, await host.snapshot()),
    [],
    'a dry run of undo changes nothing',
  );
  await succeed(t, host, '--tap tap0 --undo');
  t.deepEqual(differences(before, await host.snapshot()), []);
  t.regex(await succeed(t, host, '--tap tap0 --undo'), /nothing is recorded/);
  t.deepEqual(differences(before, await host.snapshot()), []);
});

test(`a tap that was there is as it was after undo ${NEEDS}`, async t => {
  const host = await InstallHost.create(t, 'stp_state 1 forward_delay 200');
  await host.ip('tuntap add tap0 mode tap', 'link set tap0 address 02:00:00:00:00:01');
  // Its queue is made when it is up for the first time, and stays.
  await host.ip('link set tap0 up', 'link set tap0 down');
  await host.tool('ethtool -K tap0 sg off');
  const before = await host.snapshot();
  const address = /link\/ether (\S+)/.exec(await host.tool('ip link show br0'))![1];
  await succeed(t, host, '--tap tap0 --bridge br0');
  const link = await host.tool('ip -d link show tap0');
  t.regex(link, /UP> mtu 9000 .* master br0 /);
  t.regex(link, /fe:00:00:00:00:01/, 'its address is not to become the address of the bridge');
  const bridge = await host.tool('ip -d link show br0');
  t.true(bridge.includes(` ${address} `));
  t.regex(bridge, /mtu 9000 .*\n.*\n *bridge .* stp_state 1 /);
  await succeed(t, host, '--tap tap0 --undo');
  t.deepEqual(differences(before, await host.snapshot()), []);
});

test(`a bridge whose only port is taken away keeps the address that it had ${NEEDS}`, async t => {
  const host = await InstallHost.create(t);
  await host.ip('link del up0');
  const address = async () => / link\/ether (\S+)/.exec(await host.tool('ip link show br0'))?.[1];
  const before = await address();
  for (const make of [[], ['tuntap add tap0 mode tap']]) {
    await host.ip(...make);
    await succeed(t, host, '--tap tap0 --bridge br0');
    t.not(await address(), before, 'it takes the address of its only port');
    await succeed(t, host, '--tap tap0 --undo');
    t.is(await address(), before);
  }
});

test(`what the operator changed meanwhile stays as the operator made it ${NEEDS}`, async t => {
  const host = await InstallHost.create(t);
  await host.ip('tuntap add tap0 mode tap', 'link set tap0 address 02:00:00:00:00:01');
  await succeed(t, host, '--tap tap0 --bridge br0');
  await host.ip('link set tap0 mtu 1400 address 02:00:00:00:00:02');
  await succeed(t, host, '--tap tap0 --undo');
  const link = await host.tool('ip link show tap0');
  t.regex(link, /mtu 1400 /);
  t.regex(link, /02:00:00:00:00:02/);
  t.notRegex(link, /master/);
});

for (const initial of ['hold', 'bypass'] as const) {
  test(`undo takes back what a proxy killed in ${initial} has left ${NEEDS}`, async t => {
    const host = await InstallHost.create(t);
    await host.ip('tuntap add tap0 mode tap', 'link set tap0 master br0 up');
    const before = await host.snapshot();
    await succeed(t, host, '--tap tap0');
    await host.killProxy(initial);
    const left = await host.tool('tc filter show dev tap0 ingress');
    t.is(left.includes('bpf'), initial === 'hold');
    // Installed once more over what was left: that is not what was found.
    await succeed(t, host, '--tap tap0');
    await succeed(t, host, '--tap tap0 --undo');
    t.deepEqual(differences(before, await host.snapshot()), []);
  });
}

test(`what another run has made of the network before it lets go of the lock counts ${NEEDS}`, async t => {
  const host = await InstallHost.create(t);
  await host.ip('tuntap add tap0 mode tap', 'link set tap0 master br0 up');
  const tools = path.join(host.folder, 'tools');
  fs.mkdirSync(tools);
  // The other one ends right before the lock is ours.
  const late = '#!/bin/sh\nip link delete dev tap0\nexec /usr/bin/flock "$@"\n';
  fs.writeFileSync(path.join(tools, 'flock'), late, { mode: 0o755 });
  const ended = await host.install('--tap tap0 --bridge br0', tools);
  t.is(ended.status, 0, ended.stderr);
  t.regex(await host.tool('ip -d link show tap0'), /,UP> .* master br0 .*\n.*fe:/);
  await succeed(t, host, '--tap tap0 --undo');
  t.notRegex(await host.tool('ip link'), / tap0:/);
});

test(`a user who is not there is refused before anything is done ${NEEDS}`, async t => {
  const host = await InstallHost.create(t);
  const before = await host.snapshot();
  const ended = await host.install('--tap tap0 --bridge br0 --owner nobody-of-this-name');
  t.is(ended.status, 2);
  t.regex(ended.stderr, /--owner: there is no user 'nobody-of-this-name'/);
  t.deepEqual(differences(before, await host.snapshot()), []);
  await succeed(t, host, '--tap tap0 --bridge br0 --owner 12345');
  t.regex(await host.tool('ip -d link show tap0'), /user 12345/);
});

test(`a tap that somebody has made anew is not undone ${NEEDS}`, async t => {
  const host = await InstallHost.create(t);
  await succeed(t, host, '--tap tap0 --bridge br0');
  await host.ip('link del tap0', 'tuntap add tap0 mode tap', 'link set tap0 master br0 up');
  const theirs = await host.tool('ip -d link show tap0');
  t.regex(await succeed(t, host, '--tap tap0 --undo'), /stays as it is/);
  t.is(await host.tool('ip -d link show tap0'), theirs);
  t.false(fs.existsSync(path.join(host.root, UNIT)));
});

test(`an undo that comes after another one changes nothing ${NEEDS}`, async t => {
  const host = await InstallHost.create(t);
  await succeed(t, host, '--tap tap0 --bridge br0');
  const record = path.join(host.root, 'var/lib/curling/install/tap-tap0');
  const tools = path.join(host.folder, 'tools');
  fs.mkdirSync(tools);
  // The other one ends between the first look and the lock.
  const late = `#!/bin/sh\nrm ${record}\nexec /usr/bin/flock "$@"\n`;
  fs.writeFileSync(path.join(tools, 'flock'), late, { mode: 0o755 });
  const link = await host.tool('ip -d link show tap0');
  const ended = await host.install('--tap tap0 --undo', tools);
  t.is(ended.status, 4);
  t.regex(ended.stderr, /CURLING_BUSY: another curling-install has just undone tap0/);
  t.is(await host.tool('ip -d link show tap0'), link);
});

test(`a tap that is in use is undone only by force ${NEEDS}`, async t => {
  const host = await InstallHost.create(t);
  // The other end of a veth is up: somebody is on it, who says nothing by itself.
  await host.ip('link add tap0 type veth peer name guest0', 'link set guest0 addrgenmode none up');
  await host.ip('link set tap0 master br0 up');
  const before = await host.snapshot();
  await succeed(t, host, '--tap tap0 --no-enable');
  await host.killProxy('hold');
  const closed = await host.snapshot();
  const refused = await host.install('--tap tap0 --undo');
  t.is(refused.status, 4);
  t.regex(refused.stderr, /a guest is on tap0, which was left closed/);
  t.deepEqual(differences(closed, await host.snapshot()), []);
  await succeed(t, host, '--tap tap0 --undo --force');
  t.deepEqual(differences(before, await host.snapshot()), []);
});

test(`what would cut the host's own link is refused, and nothing changes ${NEEDS}`, async t => {
  const host = await InstallHost.create(t);
  await host.ip('tuntap add tap0 mode tap', 'link set tap0 up', 'addr add 192.0.2.2/24 dev tap0');
  await host.ip('route add default via 192.0.2.1 dev tap0');
  const before = await host.snapshot();
  for (const [options, says] of [
    ['--tap tap0 --bridge br0', /CURLING_HOST_LINK: tap0 carries this host's default route/],
    ['--tap lo --bridge br0', /CURLING_HOST_LINK/],
    ['--tap tap1 --bridge br1', /CURLING_TAP_NOT_ON_BRIDGE/],
  ] as const) {
    const ended = await host.install(options);
    t.is(ended.status, 4, options);
    t.regex(ended.stderr, says);
  }
  t.deepEqual(differences(before, await host.snapshot()), []);
});

/** Tools in front of the real ones that kill the script at its Nth change: before an odd one, after an even one. */
function cutter(host: InstallHost, change: number): string {
  const folder = path.join(host.folder, `cut-${change}`);
  fs.mkdirSync(folder);
  const count = path.join(folder, 'count');
  const cut = `{ kill -9 $PPID; exit 1; }`;
  for (const [tool, real] of [
    ['ip', '/sbin/ip'],
    ['systemctl', '/bin/systemctl'],
  ] as const) {
    const lines = [
      '#!/bin/sh',
      `case " $* " in *" show "* | *" is-enabled "*) exec ${real} "$@" ;; esac`,
      `echo >>${count}`,
      `n=$(wc -l <${count})`,
      change % 2 === 1 ? `[ $n != ${change} ] || ${cut}` : '',
      `${real} "$@"`,
      `[ $n != ${change} ] || ${cut}`,
    ];
    fs.writeFileSync(path.join(folder, tool), `${lines.join('\n')}\n`, { mode: 0o755 });
  }
  return folder;
}

for (const found of ['absent', 'there'] as const) {
  test(`cut off at any change, undo and another run heal; the tap was ${found} ${NEEDS}`, async t => {
    const host = await InstallHost.create(t);
    if (found === 'there')
      await host.ip('tuntap add tap0 mode tap', 'link set tap0 up', 'link set tap0 down');
    const before = await host.snapshot();
    const whole = await host.install('--tap tap0 --bridge br0 --dry-run');
    const changes = whole.stdout.split('\n').filter(line => /^(ip|systemctl) /.test(line)).length;
    t.true(changes >= 5);
    for (let cut = 1; cut <= changes; cut++) {
      const ended = await host.install('--tap tap0 --bridge br0', cutter(host, cut));
      t.is(ended.status, undefined, `cut ${cut} did not kill it: ${ended.stdout}${ended.stderr}`);
      if (cut % 3 === 0) await succeed(t, host, '--tap tap0 --bridge br0');
      await succeed(t, host, '--tap tap0 --undo');
      t.deepEqual(differences(before, await host.snapshot()), [], `cut ${cut}`);
    }
  });
}
