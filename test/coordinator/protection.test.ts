import test from 'ava';
import { monotonicClock } from '../../common/clock.ts';
import { silentLogger } from '../../common/log.ts';
import type { OutputGate } from '../../coordinator/output-gate.ts';
import { Protection } from '../../coordinator/protection.ts';
import type { SenderSession } from '../../coordinator/replication/sender.ts';
import { Telemetry } from '../../coordinator/telemetry.ts';
import { FakeQemu } from '../qemu/fake-qemu.ts';
import { FIRST_PASS, REQUEST } from '../qemu/observed-session.ts';
import { until } from './bench.ts';

test('a checkpoint that is due when QEMU has just gone is not taken', async t => {
  let sayWhy: (answer: object) => void = () => {};
  const why = new Promise<object>(resolve => {
    sayWhy = resolve;
  });
  const qemu = await new FakeQemu({ 'query-migrate': why }).start();
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
      stagingBytesMax: 0,
      generation: 1,
      epoch: 1,
      schedule: { mode: 'output', intervalMaxMs: 60_000 },
      vcpuThreads: [],
    },
    {
      qmp: qemu.qmp,
      gate: { seal: async () => {} } as unknown as OutputGate,
      link: link as unknown as SenderSession,
      clock: monotonicClock,
      log: silentLogger,
      telemetry: new Telemetry(monotonicClock, 'SYNC'),
      sabotage: undefined,
      stopAt: () => {},
      handlers: {
        snapshot: epoch => told.push(`snapshot ${epoch}`),
        guestLost: error => told.push(error.code),
        proxyLost: error => told.push(error.code),
      },
    },
  );
  await protection.start();
  qemu.stream!.write(FIRST_PASS);
  qemu.status('colo');
  await until('the full copy', () => told.length > 0);
  protection.begin();
  protection.activate();
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
