import test, { type ExecutionContext } from 'ava';
import { streamCheckpoint, streamHead } from '../../bench/guest/colo-stream.ts';
import { monotonicClock } from '../../common/clock.ts';
import { silentLogger } from '../../common/log.ts';
import type { OutputGate } from '../../coordinator/output-gate.ts';
import { FixedChoice } from '../../coordinator/packing/choice.ts';
import { Protection } from '../../coordinator/protection.ts';
import type { SenderSession } from '../../coordinator/replication/sender.ts';
import { Telemetry } from '../../coordinator/telemetry.ts';
import { FakeQemu } from '../qemu/fake-qemu.ts';
import { until } from './bench.ts';

/** Bytes of REQUEST. */
const REQUEST_BYTES = 4;
const MIB = 2 ** 20;
const PAGES_OF_MIB = 256;

/** A protection that takes checkpoints of a QEMU that the test writes, over a link that it serves. */
async function protecting(t: ExecutionContext, stagingBytesMax: number, guestPages: number) {
  const qemu = await new FakeQemu().start();
  t.teardown(() => qemu.remove());
  const told: string[] = [];
  const link = { said: [] as string[], unsent: [] as (() => void)[] };
  const sender = {
    window: true,
    beginFull: () => {},
    beginCheckpoint: () => {},
    chunk: (_: unknown, sent: () => void) => {
      link.said.push('chunk');
      link.unsent.push(sent);
    },
    device: () => {},
    commit: () => link.said.push('commit'),
  };
  const protection = new Protection(
    {
      migrateSocket: qemu.path('run/migrate'),
      mainBlock: 'pc.ram',
      stagingBytesMax,
      generation: 1,
      epoch: 1,
      schedule: { mode: 'fixed', intervalMaxMs: 60_000, intervalMs: 1 },
      vcpuThreads: [],
    },
    {
      qmp: qemu.qmp,
      gate: { seal: async () => {} } as unknown as OutputGate,
      link: sender as unknown as SenderSession,
      clock: monotonicClock,
      log: silentLogger,
      lz4: undefined,
      choice: new FixedChoice('plain'),
      telemetry: new Telemetry(monotonicClock, 'SYNC'),
      sabotage: undefined,
      stopAt: () => {},
      handlers: {
        snapshot: () => told.push('snapshot'),
        guestLost: error => told.push(error.code),
        proxyLost: error => told.push(error.code),
        stagingFull: ({ text }) => told.push(text),
      },
    },
  );
  t.teardown(() => protection.end());
  await protection.start();
  qemu.stream!.write(streamHead(guestPages));
  qemu.status('colo');
  await until('the full copy', () => told.length > 0);
  protection.begin();
  protection.activate();
  link.said.length = 0;
  return { qemu, protection, told, link };
}

function checkpoint(pages: number): { request: Buffer; rest: Buffer } {
  const bytes = streamCheckpoint(pages, (page, number) => page.writeUInt32BE(number));
  return { request: bytes.subarray(0, REQUEST_BYTES), rest: bytes.subarray(REQUEST_BYTES) };
}

test('a large checkpoint is sent while the rest of it is being staged, and committed when all of it is', async t => {
  const { qemu, link, protection } = await protecting(t, 64 * MIB, 8 * PAGES_OF_MIB);
  const { request, rest } = checkpoint(8 * PAGES_OF_MIB);
  const before = protection.stagingMemory.bytes;
  qemu.stream!.write(request);
  await qemu.codes(2);
  qemu.stream!.write(rest.subarray(0, 6 * MIB));
  await until('chunks', () => link.said.length >= 22);
  t.false(link.said.includes('commit'));
  t.is(protection.stagingMemory.bytes - before, 2 * MIB, 'the pool grows by what is needed');
  qemu.stream!.write(rest.subarray(6 * MIB));
  await until('the commit', () => link.said.at(-1) === 'commit');
  t.is(link.said.length, 32 + 1);
  t.is(protection.work.guestWaits, 0);
  const grown = () => protection.stagingMemory.bytes;
  await until('more, ahead of the next one', () => grown() === 12 * MIB);
});

test('at the bound the guest waits for the link, which is told of, and goes on', async t => {
  const { qemu, link, protection, told } = await protecting(t, 2 * MIB, 4 * PAGES_OF_MIB);
  const { request, rest } = checkpoint(4 * PAGES_OF_MIB);
  qemu.stream!.write(request);
  await qemu.codes(2);
  qemu.stream!.write(rest);
  await until('a wait', () => protection.work.guestWaits > 0);
  t.false(link.said.includes('commit'));
  t.true(protection.stagingMemory.bytes <= 2 * MIB + 256 * 1024, 'and what one read held');
  while (link.said.at(-1) !== 'commit') {
    for (const sent of link.unsent.splice(0)) sent();
    await until('progress', () => link.unsent.length > 0 || link.said.at(-1) === 'commit');
  }
  t.is(link.said.length, 16 + 1);
  t.is(told.length, 2);
  t.regex(told[1]!, /waited for staging memory of 2 MiB: a checkpoint of 4 MiB/);
  t.is(protection.stagingMemory.boundBytes, 2 * MIB);
});
