import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { monotonicClock } from '../../common/clock.ts';
import { silentLogger } from '../../common/log.ts';
import { hintTimeout } from '../../coordinator/checkpoint-hints.ts';
import type { OutputGate } from '../../coordinator/output-gate.ts';
import { FixedChoice } from '../../coordinator/packing/choice.ts';
import { Protection, type ProtectionOptions } from '../../coordinator/protection.ts';
import type { SenderSession } from '../../coordinator/replication/sender.ts';
import { Telemetry } from '../../coordinator/telemetry.ts';
import { FakeQemu } from '../qemu/fake-qemu.ts';
import {
  CHECKPOINT,
  CHECKPOINT_2,
  FIRST_PASS,
  REQUEST,
  REQUEST_2,
} from '../qemu/observed-session.ts';
import { until } from './bench.ts';

interface Bench {
  protection: Protection;
  qemu: FakeQemu;
  /** What the owner was told. */
  told: string[];
  /** Checkpoints that were begun. */
  begun: number[];
}

/** An active protection, whose QEMU has not asked for a checkpoint yet. */
async function active(
  t: ExecutionContext,
  answers: Record<string, unknown>,
  more: Partial<ProtectionOptions> = {},
): Promise<Bench> {
  const qemu = await new FakeQemu(answers).start();
  t.teardown(() => qemu.remove());
  const told: string[] = [];
  const begun: number[] = [];
  const link = {
    window: true,
    beginFull: () => {},
    beginCheckpoint: (epoch: number) => begun.push(epoch),
    chunk: (_: unknown, sent: () => void) => setImmediate(sent),
    device: () => {},
    commit: () => {},
  };
  const protection = new Protection(
    {
      migrateSocket: qemu.path('run/migrate'),
      mainBlock: 'pc.ram',
      stagingBytesMax: 0,
      generation: 1,
      epoch: 1,
      schedule: { mode: 'output', intervalMaxMs: 60_000 },
      vcpuThreads: [],
      ...more,
    },
    {
      qmp: qemu.qmp,
      gate: { seal: async () => {} } as unknown as OutputGate,
      link: link as unknown as SenderSession,
      clock: monotonicClock,
      log: silentLogger,
      lz4: undefined,
      choice: new FixedChoice('plain'),
      telemetry: new Telemetry(monotonicClock, 'SYNC'),
      sabotage: undefined,
      stopAt: () => {},
      handlers: {
        snapshot: epoch => told.push(`snapshot ${epoch}`),
        guestLost: error => told.push(error.code),
        proxyLost: error => told.push(error.code),
        stagingFull: ({ change }) => told.push(change),
      },
    },
  );
  await protection.start();
  qemu.stream!.write(FIRST_PASS);
  qemu.status('colo');
  await until('the full copy', () => told.length > 0);
  protection.begin();
  protection.activate();
  return { protection, qemu, told, begun };
}

test('a checkpoint that is due when QEMU has just gone is not taken', async t => {
  let sayWhy: (answer: object) => void = () => {};
  const why = new Promise<object>(resolve => {
    sayWhy = resolve;
  });
  const { protection, qemu, told, begun } = await active(t, { 'query-migrate': why });
  qemu.stream!.write(REQUEST);
  qemu.stream!.end();
  const asked = () => qemu.said.some(([name]) => name === 'query-migrate');
  await until('the question why', asked);
  protection.outputPending(2);
  t.deepEqual(begun, [], 'no checkpoint of a QEMU that is gone');
  sayWhy({ status: 'failed' });
  await until('the loss', () => told.length > 1);
  t.deepEqual(told, ['snapshot 1', 'CURLING_QEMU_LOST']);
});

test('a guest whose processor sleeps is given longer than the longest interval', async t => {
  const sleeper = spawn('sleep', ['60']);
  t.teardown(() => sleeper.kill('SIGKILL'));
  await once(sleeper, 'spawn');
  const schedule = { intervalMaxMs: 100, windowMs: 100, idleIntervalMaxMs: 60_000 };
  const more = { schedule, vcpuThreads: [sleeper.pid!] };
  const { protection, qemu, begun } = await active(t, {}, more);
  qemu.stream!.write(REQUEST);
  await until('it was put off', () => protection.work.idlePutOffs >= 3);
  t.deepEqual(begun, []);
  protection.outputPending(2);
  await until('what it says is due', () => begun.length === 1);
  await protection.end();
});

test('a command for a checkpoint is answered when one that began after it is committed', async t => {
  const { protection, qemu, begun } = await active(t, {});
  const first = protection.checkpoint(10_000);
  const second = protection.checkpoint(10_000);
  qemu.stream!.write(REQUEST);
  await until('the checkpoint begins', () => begun.length === 1);
  const late = protection.checkpoint(10_000);
  qemu.stream!.write(CHECKPOINT);
  await until('the guest runs on', () => protection.inFlight === 1);
  t.is(await Promise.race([first, immediate('no answer')]), 'no answer', 'only staged');
  protection.committed(2);
  const done = await first;
  t.is(done.epoch, 2);
  t.true(done.waitMs >= 0 && done.pauseMs > 0 && done.commitMs >= 0);
  t.is((await second).epoch, 2);
  qemu.stream!.write(REQUEST_2);
  await until('the second checkpoint', () => begun.length === 2);
  qemu.stream!.write(CHECKPOINT_2);
  await until('the guest runs on again', () => protection.inFlight === 1);
  protection.committed(3);
  t.is((await late).epoch, 3);
  const { hint, hintsCommitted } = protection.work;
  t.deepEqual({ hint, hintsCommitted }, { hint: 2, hintsCommitted: 3 });
});

test('commands for a checkpoint end with the protection, by their time, and at their bound', async t => {
  const { protection } = await active(t, {});
  const tooLate = protection.checkpoint(1);
  await t.throwsAsync(tooLate, { code: 'CURLING_TIMEOUT', message: /checkpoint 2 .* 1 ms/ });
  const waiting = Array.from({ length: 64 }, () => protection.checkpoint(60_000));
  await t.throwsAsync(protection.checkpoint(60_000), { code: 'CURLING_BUSY' });
  const { hintsTimedOut, hintsRefused } = protection.work;
  t.deepEqual({ hintsTimedOut, hintsRefused }, { hintsTimedOut: 1, hintsRefused: 1 });
  const ended = Promise.all(waiting.map(each => t.throwsAsync(each, { code: 'CURLING_STATE' })));
  await protection.end();
  await ended;
});

test('how long a command waits for its checkpoint is told in milliseconds', t => {
  t.is(hintTimeout({}), 10_000);
  t.is(hintTimeout({ timeoutMs: 600_000 }), 600_000);
  for (const timeoutMs of [0, 600_001, '5', null, Number.NaN])
    t.throws(() => hintTimeout({ timeoutMs }), { code: 'CURLING_MESSAGE' });
});
