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
    'memory-backend-file,id=pc.ram,size=8192,mem-path=/dev/shm/a,,b,share=on',
    '-machine',
    'memory-backend=pc.ram',
    '-incoming',
    'defer',
    '-S',
    '-qmp',
    'unix:/run/x.qmp,server=on,wait=off',
  ]);
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
