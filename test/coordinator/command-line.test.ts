import test from 'ava';
import { Bench } from './bench.ts';

const TOO_LONG = 'v'.repeat(65);

test('a command line that makes no sense ends with status 2, and names what is wrong', async t => {
  const bench = await Bench.create(t);
  const wrong: [string, Record<string, string | undefined>, string[]?][] = [
    ['--what', {}, ['--what', '--', 'qemu']],
    ['--vm', { vm: undefined }],
    ['--vm', { vm: 'a/b' }],
    ['--vm', { vm: TOO_LONG }],
    ['--host', { host: 'a host' }],
    ['--role', { role: 'witness' }],
    ['--http', { http: 'here' }],
    ['--qmp', { role: 'primary', qmp: undefined }],
    ['after --', {}, []],
    ['--witness', { witness: 'nowhere' }],
    ['--witness', { witness: '127.0.0.1:65536' }],
    ['--witness', { witness: undefined }],
    ['got both', { etcd: 'http://127.0.0.1:2379' }],
    ['--etcd', { witness: undefined, etcd: 'etcd:2379' }],
    ['--listen', { listen: '127.0.0.1:0' }],
    ['--peer', { peer: '127.0.0.1' }],
    ['--proxy', { proxy: undefined }],
    ['--pause-share', { 'pause-share': '0' }],
    ['--interval-max', { 'interval-max': '1.5' }],
    ['--idle-interval-max', { 'idle-interval-max': '9' }],
    ['--fixed-interval', { 'fixed-interval': 'often' }],
    ['--detection', { detection: '19' }],
    ['--beat', { beat: '151' }],
    ['--in-flight', { 'in-flight': '0' }],
    ['--in-flight-mib', { 'in-flight-mib': '1e3' }],
    ['--staging-mib', { 'staging-mib': '' }],
    ['--source', { source: 'kemari' }],
    ['--source', { source: 'curling:7703' }],
    ['--log-level', { 'log-level': 'loud' }],
  ];
  for (const [name, changes, rest] of wrong) {
    const program = bench.start('backup', changes, rest);
    const given = JSON.stringify(changes);
    t.is(await program.end(), 2, `${given}: ${program.said}`);
    t.regex(program.said, /^curling-coordinator: CURLING_USAGE: .*\n$/, given);
    t.true(program.said.includes(name), `${program.said} does not name ${name}`);
  }
  t.deepEqual(bench.proxy.said, []);
});
