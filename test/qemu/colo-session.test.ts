import fs from 'node:fs';
import path from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { Staging } from '../../coordinator/checkpoint/staging.ts';
import { FakeQemu } from './fake-qemu.ts';
import { naivePhases } from './naive-stream.ts';
import {
  CHECKPOINT,
  CHECKPOINT_2,
  copied,
  FIRST_PASS,
  Observed,
  REQUEST,
  REQUEST_2,
  STREAM,
} from './observed-session.ts';

const test = anyTest as TestFn<{ qemu: FakeQemu }>;

test.beforeEach(async t => {
  t.context.qemu = await new FakeQemu().start();
});

test.afterEach.always(async t => {
  await t.context.qemu.remove();
});

test('one protection, message by message', async t => {
  const { qemu } = t.context;
  const observed = new Observed(qemu, { checkpointDelayMs: 7 });
  const { session } = observed;
  await session.start();
  const set = qemu.said.find(([name]) => name === 'migrate-set-capabilities')![1];
  t.deepEqual(set.capabilities, [
    { capability: 'x-ignore-shared', state: false },
    { capability: 'return-path', state: false },
    { capability: 'xbzrle', state: false },
    { capability: 'events', state: true },
    { capability: 'x-colo', state: true },
  ]);
  const parameters = qemu.said.find(([name]) => name === 'migrate-set-parameters')![1];
  t.is(parameters['x-checkpoint-delay'], 7);
  t.is(fs.statSync(qemu.path('run')).mode & 0o777, 0o700);

  qemu.stream!.write(FIRST_PASS);
  t.is((await observed.next()).what, 'layout pc-x');
  t.is(session.state, 'firstPass', 'not before QEMU says that it is in COLO');
  qemu.status('colo');
  t.deepEqual(await observed.next(), { what: 'firstPass', device: STREAM.device });
  t.deepEqual(observed.chunks, [1]);
  session.ready();
  t.deepEqual(await qemu.codes(1), [0]);

  qemu.stream!.write(REQUEST);
  t.is((await observed.next()).what, 'request');
  session.reply();
  t.deepEqual(await qemu.codes(2), [0, 2]);
  qemu.stream!.write(CHECKPOINT);
  t.is((await observed.next()).what, 'stopped');
  const { device } = STREAM.checkpoints[0]!;
  t.deepEqual(await observed.next(), { what: 'staged', device });
  t.deepEqual(observed.chunks, [1, 1]);
  session.resume();
  t.deepEqual(await qemu.codes(4), [0, 2, 5, 6]);

  qemu.stream!.write(REQUEST_2);
  t.is((await observed.next()).what, 'request');
  await session.end();
  t.deepEqual(observed.told, []);
  t.is(session.state, 'ended');
  t.false(fs.existsSync(qemu.path('run/migrate')));
  await session.end();
});

test('a method in the wrong state is a programmer error', async t => {
  const { session } = await copied(t.context.qemu);
  t.throws(() => session.reply(), { message: /only in state requested/ });
  t.throws(() => session.resume(), { message: /only in state staged/ });
  session.ready();
  t.throws(() => session.ready(), { message: /only in state copied/ });
  await session.end();
});

test('a broken COLO, which completes, is named as that', async t => {
  const { qemu } = t.context;
  const observed = new Observed(qemu);
  await observed.session.start();
  qemu.stream!.write(FIRST_PASS);
  await observed.next();
  qemu.running = false;
  qemu.migration = { status: 'completed' };
  // QEMU closes its socket too; which of the two is seen first makes no difference.
  qemu.stream!.destroy();
  const error = await observed.closed();
  t.is(error.code, 'CURLING_QEMU_COLO');
  t.regex(error.message, /10\.1/);
  await observed.session.end();
  t.true(qemu.running, 'the guest is set going again');
  t.true(qemu.said.some(([name]) => name === 'cont'));
});

test('a broken COLO is named also when its socket stays open', async t => {
  const { qemu } = t.context;
  const observed = new Observed(qemu);
  await observed.session.start();
  qemu.status('completed');
  t.is((await observed.closed()).code, 'CURLING_QEMU_COLO');
});

test('a QEMU without COLO is refused before anything is changed', async t => {
  const { qemu } = t.context;
  qemu.capabilities = ['events'];
  const { session } = new Observed(qemu);
  await t.throwsAsync(session.start(), { code: 'CURLING_QEMU_COLO' });
  t.false(qemu.said.some(([name]) => name.startsWith('migrate-set')));
  t.is(session.state, 'closed');
  await session.end();
});

test('a session that is ended while it starts begins no migration', async t => {
  const { qemu } = t.context;
  const { session } = new Observed(qemu);
  const starting = session.start();
  await Promise.all([session.end(), t.throwsAsync(starting, { code: 'CURLING_STATE' })]);
  t.is(session.state, 'ended');
  t.false(qemu.said.some(([name]) => name === 'migrate'));
});

test('a failed migration says why', async t => {
  const { qemu } = t.context;
  const observed = new Observed(qemu);
  await observed.session.start();
  qemu.status('failed', { 'error-desc': 'no room on the moon' });
  const error = await observed.closed();
  t.is(error.code, 'CURLING_QEMU_LOST');
  t.regex(error.message, /no room on the moon/);
});

test('bytes that are no stream close the session, once', async t => {
  const { qemu } = t.context;
  const observed = await copied(qemu);
  observed.session.ready();
  qemu.stream!.write(Buffer.concat([CHECKPOINT, CHECKPOINT_2]));
  t.is((await observed.closed()).code, 'CURLING_QEMU_STREAM');
  await observed.session.end();
  t.deepEqual(observed.told, []);
});

test('a message before its turn closes the session', async t => {
  const { qemu } = t.context;
  const observed = await copied(qemu);
  qemu.stream!.write(REQUEST);
  const error = await observed.closed();
  t.is(error.code, 'CURLING_QEMU_STREAM');
  t.regex(error.message, /in state copied/);
});

test('a sender that dies within a checkpoint leaves no half chunk', async t => {
  const { qemu } = t.context;
  const observed = await copied(qemu);
  observed.session.ready();
  qemu.stream!.write(REQUEST);
  await observed.next();
  observed.session.reply();
  qemu.stream!.end(CHECKPOINT.subarray(0, CHECKPOINT.length - 20));
  t.is((await observed.next()).what, 'stopped');
  t.is((await observed.closed()).code, 'CURLING_QEMU_LOST');
  observed.staging.flush();
  t.deepEqual(observed.chunks, [1]);
});

test('a monitor that goes away closes the session', async t => {
  const { qemu } = t.context;
  const observed = await copied(qemu);
  qemu.qmp.close();
  t.is((await observed.closed()).code, 'CURLING_CONNECTION_LOST');
});

test('a guest waits while the pool is lent out', async t => {
  const { qemu } = t.context;
  const pages = Array.from({ length: 40 }, (_, page) => ({ block: 0, page, fill: 5, data: true }));
  const [first, request, checkpoint] = naivePhases({
    ...STREAM,
    checkpoints: [{ pages, device: Buffer.from([0]) }],
  });
  const lent: Parameters<Staging['recycle']>[0][] = [];
  const staging = new Staging({ poolBytes: 0, chunkPages: 8, onChunk: c => lent.push(c) });
  const observed = new Observed(qemu, { staging });
  await observed.session.start();
  qemu.stream!.write(first!);
  qemu.status('colo');
  await observed.next();
  await observed.next();
  staging.recycle(lent.pop()!);
  observed.session.ready();
  qemu.stream!.write(request!);
  await observed.next();
  observed.session.reply();
  // One socket chunk fills the pool; the rest must wait for it.
  qemu.stream!.write(checkpoint!.subarray(0, 70_000));
  await observed.next();
  t.is(observed.session.state, 'stopped');
  qemu.stream!.write(checkpoint!.subarray(70_000));
  while (staging.counters.waits === 0) await new Promise(setImmediate);
  t.true(staging.starved);
  t.true(staging.counters.dataPages < 41);
  const giveBack = setInterval(() => lent.length > 0 && staging.recycle(lent.shift()!), 1);
  t.is((await observed.next()).what, 'staged');
  clearInterval(giveBack);
  t.is(staging.counters.dataPages, 41);
});

test('a socket that cannot be made is an error of start', async t => {
  const { qemu } = t.context;
  const socketPath = path.join(qemu.folder, 'x'.repeat(120));
  const { session } = new Observed(qemu, { socketPath });
  await t.throwsAsync(session.start(), { code: 'CURLING_CONNECT' });
});
