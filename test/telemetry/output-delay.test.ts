/** What a gate tells of the output that waits, with a proxy that is a double. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { silentLogger } from '../../common/log.ts';
import { QmpServer } from '../../common/qmp/server.ts';
import { OutputGate } from '../../coordinator/output-gate.ts';
import { ProxyClient } from '../../coordinator/proxy-client.ts';
import { Telemetry } from '../../coordinator/telemetry.ts';
import { until } from '../coordinator/bench.ts';

/** A gate whose time is the test's. */
async function begin(t: ExecutionContext) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-delay-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true }));
  const answers = { release: {}, discard: {}, bypass: {} };
  const status = { state: 'hold', epoch: { open: 1, sealed: 0, released: 0 } };
  const commands = {
    ...Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, () => answer])),
    'query-status': () => status,
    hold: () => ({ epoch: 1 }),
    seal: () => ({ epoch: 1, frames: 2, bytes: 120 }),
  };
  const server = new QmpServer({ program: 'proxy', commands });
  await server.listen(path.join(folder, 'proxy.sock'));
  t.teardown(() => server.close());
  const proxy = await ProxyClient.connect(path.join(folder, 'proxy.sock'));
  t.teardown(() => proxy.close());
  const time = { now: 1_000 };
  const telemetry = new Telemetry({ now: () => time.now }, 'PROT');
  const gate = new OutputGate({ proxy, log: silentLogger, telemetry }, () => 1);
  let heard = 0;
  proxy.on('outputPending', () => heard++);
  /** The proxy says that `epoch` has its first frame. */
  const pending = async (epoch: number) => {
    const before = heard;
    server.emit('OUTPUT_PENDING', { epoch });
    await until('the word of the proxy', () => heard > before);
  };
  return { gate, time, telemetry, pending, server, proxy };
}

test('an epoch that is released has waited since its first frame', async t => {
  const { gate, time, telemetry, pending } = await begin(t);
  await pending(1);
  time.now += 5;
  await gate.seal(1);
  time.now += 7;
  gate.release(1);
  await until('the answer to the release', () => telemetry.delay.count === 1);
  t.is(telemetry.delay.maxMs, 12);
  const { heldBytes, delayMax } = telemetry.history.read(2_000, 0).fine.columns;
  t.deepEqual([heldBytes[0], delayMax[0]], [120, 12]);
});

test('output that becomes free has waited until then', async t => {
  const { gate, time, telemetry, pending } = await begin(t);
  await pending(1);
  await gate.seal(1);
  await pending(2);
  time.now += 400;
  await gate.open();
  t.is(telemetry.delay.count, 2);
  t.is(telemetry.delay.countUpTo(256), 0);
});

test('output that is dropped was not late', async t => {
  const { gate, time, telemetry, pending } = await begin(t);
  await pending(1);
  await gate.discard();
  time.now += 50;
  telemetry.outputReleased(9);
  t.is(telemetry.delay.count, 0);
});

test('output that is lost with the proxy was not late', async t => {
  const { time, telemetry, pending, server, proxy } = await begin(t);
  await pending(2);
  const lost = new Promise(resolve => proxy.once('lost', resolve));
  await server.close();
  await lost;
  time.now += 50;
  telemetry.outputReleased(9);
  t.is(telemetry.delay.count, 0);
});
