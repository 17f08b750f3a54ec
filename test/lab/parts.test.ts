import test from 'ava';
import { moduleDependencies } from '../../lab/kernel.ts';
import { killAll, pidsIn, pidsWithEnvironment, startTimeOf } from '../../lab/processes.ts';
import { labNameOf } from '../../lab/record.ts';
import { unsettled } from '../../lab/settle.ts';

test('the dependencies of a module are read from its information', t => {
  const module = (info: string) =>
    Buffer.from(`\x7fELF..license=GPL\0${info}\0name=x\0\0`, 'latin1');
  t.deepEqual(moduleDependencies(module('depends=virtio_ring,virtio')), ['virtio_ring', 'virtio']);
  t.deepEqual(moduleDependencies(module('depends=')), []);
  t.deepEqual(moduleDependencies(Buffer.from('no module')), []);
});

test('an interface counts as settled when it is up and its bridge port forwards', t => {
  const port = (operstate: string, state: string) => ({
    ifname: 'lan-a',
    operstate,
    linkinfo: { info_slave_kind: 'bridge', info_slave_data: { state } },
  });
  t.deepEqual(unsettled(JSON.stringify([port('UP', 'forwarding')])), []);
  t.deepEqual(unsettled(JSON.stringify([port('UP', 'disabled')])), ['lan-a']);
  t.deepEqual(unsettled(JSON.stringify([port('LOWERLAYERDOWN', 'forwarding')])), ['lan-a']);
  const others = [
    { ifname: 'lo', operstate: 'UNKNOWN' },
    { ifname: 'tap0', operstate: 'DOWN' },
    { ifname: 'lanbridge', operstate: 'DOWN', linkinfo: { info_kind: 'bridge' } },
  ];
  t.deepEqual(unsettled(JSON.stringify(others)), []);
  const br0 = { ifname: 'br0', operstate: 'DOWN', linkinfo: { info_kind: 'bridge' } };
  t.deepEqual(unsettled(JSON.stringify([br0])), ['br0']);
});

test("only a lab's own names are a lab's", t => {
  t.is(labNameOf('clab0a1b2c'), 'clab0a1b2c');
  t.is(labNameOf('clab0a1b2c-client'), 'clab0a1b2c');
  for (const name of [
    'clab',
    'clabels',
    'clab0a1b2',
    'clab0a1b2c3-a',
    'xclab0a1b2c',
    '../clab0a1b2c',
  ])
    t.is(labNameOf(name), undefined, name);
});

test('a process is named by its pid and its start time', t => {
  t.true(startTimeOf(process.pid) > 0);
  t.not(startTimeOf(process.pid), startTimeOf(1));
  t.is(startTimeOf(2 ** 22 + 1), 0);
});

test('killing repeats until nothing is found', t => {
  const found = [[0x7fff_fff0], [0x7fff_fff0, 0x7fff_fff1], []];
  t.is(
    killAll(() => found.shift()!),
    2,
  );
  t.deepEqual(found, []);
});

test('a process is found by its environment', t => {
  t.deepEqual(pidsWithEnvironment('CURLING_LAB=no such lab'), []);
  t.deepEqual(pidsIn(['clab-no-such-namespace']), []);
});
