import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { Standby } from '../../coordinator/qemu/standby.ts';
import { standbyArguments } from '../../coordinator/qemu/standby-arguments.ts';

const MEMORY = { mainBlock: 'pc.ram', ramBytes: 8192, shadowPath: '/dev/shm/a,b' };

test('an operator command line becomes that of a standby', t => {
  t.deepEqual(standbyArguments(['qemu', '-m', '8192B'], MEMORY, '/run/x.qmp'), [
    'qemu',
    '-m',
    '8192B',
    '-object',
    'memory-backend-file,id=pc.ram,x-use-canonical-path-for-ramblock-id=off,size=8192,' +
      'mem-path=/dev/shm/a,,b,share=on',
    '-machine',
    'memory-backend=pc.ram',
    '-incoming',
    'defer',
    '-S',
    '-qmp',
    'unix:/run/x.qmp,server=on,wait=off',
  ]);
});

test("the standby's memory is called as the block on an old machine", t => {
  const words = standbyArguments([], { ...MEMORY, mainBlock: '/objects/mem-0' }, '/q', 'trial');
  t.regex(words[1]!, /,id=mem-0,x-use-canonical-path-for-ramblock-id=on,.*,share=off$/);
  t.is(words[3], 'memory-backend=mem-0');
});

test("the guest's own memory backend gives way to the shadow", t => {
  const memory = { ...MEMORY, mainBlock: 'mem-0' };
  const other = ['-object', 'memory-backend-ram,id=mem-00,size=1M'];
  for (const own of [
    'memory-backend-memfd,id=mem-0,size=8192,share=on',
    '{"qom-type": "memory-backend-ram", "id": "mem-0", "size": 8192}',
  ]) {
    const argv = ['qemu', '-object', own, ...other, '-object', 'rng-random,id=r'];
    const words = standbyArguments(argv, memory, '/q');
    t.deepEqual(words.slice(0, 5), ['qemu', ...other, '-object', 'rng-random,id=r']);
    t.is(words.filter(word => word.includes('mem-0')).length, 3);
  }
});

test('a main block that cannot name a memory backend is refused', t => {
  const memory = { ...MEMORY, mainBlock: '/rom@etc/acpi,id=x' };
  t.throws(() => standbyArguments(['qemu'], memory, '/q'), { code: 'CURLING_QEMU_START' });
});

const startFailures: [string, string[], RegExp][] = [
  [
    'ends at once',
    ['sh', '-c', 'echo no such machine >&2; exit 3', 'sh'],
    /status 3.*no such machine/,
  ],
  ['is not there', ['/nonexistent/qemu'], /could not be started.*ENOENT/],
  ['is not named', [], /standby/],
  ['has no monitor', ['sh', '-c', 'echo I wait; exec sleep 60', 'sh'], /no monitor.*I wait/],
];

for (const [what, argv, message] of startFailures) {
  test(`a standby QEMU that ${what} is a coded error with its words`, async t => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-standby-'));
    t.teardown(() => fs.rmSync(folder, { recursive: true }));
    const start = Standby.start({
      argv,
      memory: MEMORY,
      qmpPath: path.join(folder, 'qmp'),
      incomingPath: path.join(folder, 'incoming'),
      logPath: path.join(folder, 'log'),
      startTimeoutMs: 300,
    });
    await t.throwsAsync(start, { code: 'CURLING_QEMU_START', message });
  });
}
