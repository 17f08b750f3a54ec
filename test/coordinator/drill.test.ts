/** The drill without QEMU: what it asks in which order, what it says, and that nothing waits for it. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { monotonicClock } from '../../common/clock.ts';
import { silentLogger } from '../../common/log.ts';
import type { CoordinatorConfig } from '../../coordinator/config.ts';
import { Drill, type DrillSubject } from '../../coordinator/drill.ts';
import { describeGuest } from '../../coordinator/qemu/guest-description.ts';
import { Standby } from '../../coordinator/qemu/standby.ts';
import { Bench, STANDBY_COMMAND, until, VM } from './bench.ts';
import { FAKE_COMMITTED, FAKE_RAM_BYTES } from './fake-guest.ts';

interface Rig {
  drill: Drill;
  subject: DrillSubject;
  standby: Standby;
  /** What the subject was asked, and the events, in order. */
  log: string[];
  folder: string;
}

/** A standby that works, and drills whose QEMU is `command`. */
async function rig(t: ExecutionContext, command: readonly string[], freeBytes?: number) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-drill-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  const file = (name: string) => path.join(folder, name);
  const memory = { mainBlock: 'pc.ram', ramBytes: FAKE_RAM_BYTES, shadowPath: file('shadow') };
  const standby = await Standby.start({
    ...{ argv: STANDBY_COMMAND, memory, qmpPath: file('standby.qmp') },
    ...{ incomingPath: file('incoming.sock'), logPath: file('qemu.log') },
  });
  t.teardown(() => standby.kill());
  const log: string[] = [];
  const config = { runDir: folder, standbyCommand: command } as unknown as CoordinatorConfig;
  const drill = new Drill({
    ...{ config, clock: monotonicClock, log: silentLogger },
    emit: event => log.push(event),
    ...(freeBytes === undefined ? {} : { freeBytes: () => freeBytes }),
  });
  t.teardown(() => drill.end('the test is over'));
  const guest = await describeGuest(standby.qmp);
  const say = <T>(word: string, value: T) => {
    log.push(word);
    return value;
  };
  const subject: DrillSubject = {
    memory,
    guest,
    standby: async () => say('standby', standby),
    hold: () => say('hold', undefined),
    view: () => say('view', FAKE_COMMITTED),
    goOn: () => say('go on', 7),
  };
  return { drill, subject, standby, log, folder } satisfies Rig;
}

/** The process of a drill; undefined when there is none. */
function spareOf({ folder }: Rig): number | undefined {
  const mine = `unix:${folder}/drill.qmp,server=on,wait=off`;
  for (const pid of fs.readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      if (fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(mine)) return Number(pid);
    } catch {
      // It has ended.
    }
  }
  return undefined;
}

/** Fails unless the spare is gone, with all that it had, and the standby is as it was. */
async function assertUndisturbed(t: ExecutionContext, it: Rig): Promise<void> {
  t.is(spareOf(it), undefined);
  t.deepEqual(fs.readdirSync(it.folder).sort(), [
    ...['drill.log', 'incoming.sock', 'qemu.log', 'standby.qmp'],
  ]);
  t.is(((await it.standby.qmp.execute('query-status')) as { status: string }).status, 'inmigrate');
}

test('commits wait for the load alone; its QEMU is gone when it has answered', async t => {
  const it = await rig(t, [...STANDBY_COMMAND, 'pc-fake', 'loads']);
  t.is(it.drill.last, null);
  const running = it.drill.run(it.subject);
  await t.throwsAsync(it.drill.run(it.subject), { code: 'CURLING_STATE', message: /under way/ });
  const done = await running;
  t.deepEqual(it.log, ['standby', 'hold', 'view', 'go on', 'DRILL_DONE']);
  const { startMs, loadMs } = done;
  t.deepEqual(done, { loaded: true, epoch: 1, startMs, loadMs, delayMsMax: 7 });
  const { at, reason, ...record } = it.drill.last!;
  t.deepEqual(record, { ok: true, epoch: 1, loadMs, delayMsMax: 7, code: null });
  t.regex(reason, /checkpoint 1 was loaded in .* commits waited 7.0 ms/);
  await assertUndisturbed(t, it);
  await t.notThrowsAsync(it.drill.run(it.subject), 'another one');
});

test('a state that is refused: in the words of QEMU, and commits go on', async t => {
  const it = await rig(t, [...STANDBY_COMMAND, 'pc-fake', 'refuses']);
  await t.throwsAsync(it.drill.run(it.subject), {
    code: 'CURLING_QEMU_RESUME',
    message: /it wrote: load of migration failed/,
  });
  t.deepEqual(it.log, ['standby', 'hold', 'view', 'go on', 'DRILL_FAILED']);
  const { ok, epoch, loadMs, code } = it.drill.last!;
  t.deepEqual(
    { ok, epoch, loadMs, code },
    {
      ...{ ok: false, epoch: 1, loadMs: null, code: 'CURLING_QEMU_RESUME' },
    },
  );
  await assertUndisturbed(t, it);
});

test('a QEMU that ends, is another machine, or meets a standby that does not wait: no commit waits', async t => {
  const cases: [string[], string, RegExp][] = [
    [['exit', '3', 'no such file'], 'CURLING_QEMU_START', /status 3.*no such file/],
    [
      ['pc-other'],
      'CURLING_QEMU_MISMATCH',
      /machine type: pc-other in the spare QEMU, pc-fake in the guest/,
    ],
  ];
  for (const [words, code, message] of cases) {
    const it = await rig(t, [...STANDBY_COMMAND, ...words]);
    await t.throwsAsync(it.drill.run(it.subject), { code, message });
    t.deepEqual(it.log, ['standby', 'DRILL_FAILED']);
    t.is(it.drill.last!.epoch, null);
    await assertUndisturbed(t, it);
  }
  const it = await rig(t, [...STANDBY_COMMAND, 'pc-fake', 'loads']);
  const execute = async () => ({ running: false, status: 'paused' });
  it.subject.standby = async () => ({ qmp: { execute } }) as unknown as Standby;
  const refusal = {
    code: 'CURLING_QEMU_RESUME',
    message: /does not wait for a state: it is paused/,
  };
  await t.throwsAsync(it.drill.run(it.subject), refusal);
  t.deepEqual(it.log, ['DRILL_FAILED']);
});

test('the end of a drill kills its QEMU first of all, whatever it is at', async t => {
  const it = await rig(t, [...STANDBY_COMMAND, 'pc-fake']);
  const loading = t.throwsAsync(it.drill.run(it.subject), {
    code: 'CURLING_DRILL',
    message: 'the drill was ended: this host takes over',
  });
  await until('the load', () => it.log.includes('view'));
  // A process that is stopped answers nobody: only the kill ends it.
  process.kill(spareOf(it)!, 'SIGSTOP');
  it.drill.end('this host takes over');
  // Everything else that would end it takes at least as long.
  t.true(await Promise.race([loading.then(() => true), sleep(5_000, false, { ref: false })]));
  t.deepEqual(it.log.slice(-2), ['go on', 'DRILL_FAILED']);
  await assertUndisturbed(t, it);

  // This one never has a monitor.
  const slow = await rig(t, [process.execPath, '-e', 'setInterval(() => {}, 1e9)', '--']);
  const starting = t.throwsAsync(slow.drill.run(slow.subject), { code: 'CURLING_DRILL' });
  await until('the start', () => spareOf(slow) !== undefined);
  slow.drill.end('this host takes over');
  t.true(await Promise.race([starting.then(() => true), sleep(5_000, false, { ref: false })]));
  t.is(spareOf(slow), undefined);
  t.notThrows(() => slow.drill.end('nothing is under way'));
});

test('a QEMU that does not load keeps commits for a second, and no longer', async t => {
  const it = await rig(t, [...STANDBY_COMMAND, 'pc-fake']);
  await t.throwsAsync(it.drill.run(it.subject), {
    code: 'CURLING_DRILL',
    message: /not loaded in 1000 ms, and commits wait no longer/,
  });
  t.is(it.log[3], 'go on');
  await assertUndisturbed(t, it);
});

test('without memory for it none is begun, and the last one stands', async t => {
  const it = await rig(t, STANDBY_COMMAND, 255 << 20);
  const message = 'a drill needs 256 MiB of memory, and 255 MiB are free';
  await t.throwsAsync(it.drill.run(it.subject), { code: 'CURLING_DRILL', message });
  const full = await rig(t, [...STANDBY_COMMAND, '-mem-prealloc'], 271 << 20);
  await t.throwsAsync(full.drill.run(full.subject), { message: /needs 272 MiB/ });
  t.deepEqual([it.log, full.log], [[], []]);
  t.is(it.drill.last, null);
});

test('a coordinator that is no backup refuses it, and says who is asked', async t => {
  const bench = await Bench.create(t);
  await bench.serving('backup');
  const control = await bench.control();
  const drill = (vm: string) => control.execute('drill', { vm });
  await t.throwsAsync(drill(VM), { code: 'CURLING_STATE', message: /this host is in JOIN$/ });
  await t.throwsAsync(drill('other'), { code: 'CURLING_STATE', message: /expected "vm"/ });
  t.is((await bench.status()).drill, null);
});
