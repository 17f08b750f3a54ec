import { once } from 'node:events';
import { existsSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { labsPresent } from '../../lab/cleanup.ts';
import { Lab, type LabOptions } from '../../lab/lab.ts';
import type { LabNode } from '../../lab/node.ts';
import { BUSYBOX } from '../../lab/paths.ts';
import { namespacesWith, startTimeOf } from '../../lab/processes.ts';

async function createLab(t: ExecutionContext, options: LabOptions = {}): Promise<Lab> {
  const lab = await Lab.create(options);
  t.teardown(() => lab.destroy());
  return lab;
}

/** Whether one echo request of three is answered within a second. */
async function reaches(from: LabNode, address: string): Promise<boolean> {
  try {
    await from.run(BUSYBOX, ['ping', '-c', '3', '-i', '0.2', '-W', '1', '-A', address]);
    return true;
  } catch {
    return false;
  }
}

async function numberIn(node: LabNode, path: string): Promise<number> {
  return Number(await node.run('cat', [path]));
}

test('everyone reaches everyone at once, and destroying leaves nothing (needs root, namespaces)', async t => {
  const lab = await createLab(t, { hosts: ['a', 'b', 'c'] });
  const pairs: [LabNode, string][] = [
    [lab.client, lab.host('a').address],
    [lab.host('c'), '10.77.0.9'],
    [lab.witness, '10.77.0.100'],
    [lab.host('a'), '10.77.0.12'],
    [lab.host('b'), '10.78.0.13'],
  ];
  for (const [from, address] of pairs)
    t.true(await reaches(from, address), `${from.name} to ${address}`);
  const child = lab.host('a').spawn('sleep', ['1000']);
  const { shmDir, runDir } = lab.host('a');
  t.true(existsSync(shmDir) && existsSync(runDir));
  await lab.destroy();
  t.is(child.signalCode, 'SIGKILL');
  t.false(existsSync(shmDir) || existsSync(runDir));
  t.deepEqual(namespacesWith(lab.name), []);
  t.false(labsPresent().includes(lab.name));
});

test('two labs at once do not know each other (needs root, namespaces)', async t => {
  const [one, two] = await Promise.all([createLab(t), createLab(t)]);
  t.not(one.name, two.name);
  await two.destroy();
  t.true(await reaches(one.client, one.host('b').address));
});

test('the tap takes a QEMU, and IPv6 is off (needs root, namespaces)', async t => {
  const lab = await createLab(t, { hosts: ['a'] });
  const host = lab.host('a');
  const shown = await host.run('ip', ['-json', '-details', 'link', 'show', 'dev', host.tap]);
  const kind = { info_kind: 'tun', info_data: { type: 'tap', vnet_hdr: true, persist: true } };
  t.like(JSON.parse(shown)[0], { master: host.bridge, linkinfo: kind });
  for (const node of lab.nodes) t.is(await node.run('ip', ['-6', 'address']), '', node.name);
});

test('cut cables drop silently and come back (needs root, namespaces)', async t => {
  const lab = await createLab(t);
  const host = lab.host('a');
  const received = `/sys/class/net/${lab.lan.port('a')}/statistics/rx_packets`;
  const carrierChanges = `/sys/class/net/${host.uplink}/carrier_changes`;
  t.true(await reaches(host, '10.77.0.100'));
  const changesBefore = await numberIn(host, carrierChanges);

  await lab.cut('a', 'lan');
  const receivedBefore = await numberIn(lab.lan, received);
  t.false(await reaches(host, '10.77.0.100'));
  t.is(await numberIn(lab.lan, received), receivedBefore, 'nothing of a cut host reaches its port');
  t.true(await reaches(host, '10.78.0.12'), 'the replication link is another cable');
  t.is(await numberIn(host, carrierChanges), changesBefore, 'the carrier stays');

  await lab.cut('a');
  t.false(await reaches(host, '10.78.0.12'));
  await lab.restore('a');
  t.true(await reaches(host, '10.78.0.12'));
  t.true(await reaches(lab.client, host.address));
  t.true((await numberIn(lab.lan, received)) > receivedBefore);
  t.is(await numberIn(host, carrierChanges), changesBefore);
});

test('a cable can be cut in one direction (needs root, namespaces)', async t => {
  const lab = await createLab(t);
  const host = lab.host('a');
  const heardBy = async (node: LabNode, device: string) =>
    numberIn(node, `/sys/class/net/${device}/statistics/rx_packets`);
  for (const [direction, mine, theirs] of [
    ['out', true, false],
    ['in', false, true],
  ] as const) {
    await lab.cutOneWay('a', 'replication', direction);
    await lab.cutOneWay('a', 'replication', direction);
    const other = lab.host('b');
    const before = [
      await heardBy(host, host.replicationInterface),
      await heardBy(other, other.replicationInterface),
    ];
    t.false(await reaches(host, '10.78.0.12'), direction);
    t.false(await reaches(other, '10.78.0.11'), direction);
    t.is((await heardBy(host, host.replicationInterface)) > before[0]!, mine, direction);
    t.is((await heardBy(other, other.replicationInterface)) > before[1]!, theirs, direction);
    t.true(await reaches(host, '10.77.0.100'), 'the LAN is another cable');
    await lab.restore('a');
    t.true(await reaches(host, '10.78.0.12'));
  }
});

test('the path to the witness can be cut alone (needs root, namespaces)', async t => {
  const lab = await createLab(t);
  await lab.cut('a', 'witness');
  await lab.cut('a', 'witness');
  t.false(await reaches(lab.host('a'), '10.77.0.9'));
  t.true(await reaches(lab.host('b'), '10.77.0.9'));
  t.true(await reaches(lab.host('a'), '10.77.0.100'));
  await lab.restore('a', 'witness');
  t.true(await reaches(lab.host('a'), '10.77.0.9'));
  await lab.restore('a', 'witness');
});

test('killing a host ends all of its processes and no others (needs root, namespaces)', async t => {
  const lab = await createLab(t);
  // The shell's child leaves its process group and outlives its parent: nothing but the namespace knows it.
  const shell = lab.host('a').spawn('sh', ['-c', 'setsid sleep 1000 & sleep 1000']);
  const other = lab.host('b').spawn('sleep', ['1000']);
  while (lab.host('a').pids().length < 3) await new Promise(resolve => setTimeout(resolve, 5));
  const pids = lab.host('a').pids();
  const ended = once(shell, 'exit');
  t.true(lab.kill('a') >= 3);
  await ended;
  t.deepEqual(lab.host('a').pids(), []);
  for (const pid of pids) t.is(startTimeOf(pid), 0);
  t.is(other.exitCode, null);
  t.true(startTimeOf(other.pid!) > 0);
});

test('a frozen host runs on when thawed (needs root, namespaces)', async t => {
  const lab = await createLab(t, { hosts: ['a'] });
  const child = lab.host('a').spawn('sh', ['-c', 'while read line; do echo "$line"; done'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const echo = async (text: string) => {
    const answer = once(child.stdout!, 'data');
    child.stdin!.write(`${text}\n`);
    return String((await answer)[0]);
  };
  t.is(await echo('one'), 'one\n');
  lab.freeze('a');
  const state = await lab.client.run('cat', [`/proc/${child.pid}/stat`]);
  t.regex(state, /\) T /);
  lab.thaw('a');
  t.is(await echo('two'), 'two\n');
});

test('a host that does not exist, and bad host names, are usage errors (needs root)', async t => {
  const lab = await createLab(t, { hosts: ['a'] });
  t.throws(() => lab.host('z'), { code: 'CURLING_USAGE' });
  await t.throwsAsync(Lab.create({ hosts: ['client'] }), { code: 'CURLING_USAGE' });
});
