import test from 'ava';
import { numberedFrame, numberOf, TapLab, until } from './lab.ts';

/** Lengths on both sides of what fits a slot, the largest frame of a 9000-byte MTU among them. */
const LENGTHS = [60, 61, 342, 1514, 2021, 2022, 2023, 4096, 9014];

test('needs root: nothing leaves before its release, and then in order, byte for byte', async t => {
  const lab = await TapLab.create(t);
  await lab.ip(['link set up0 mtu 9000', 'link set tap0 mtu 9000']);
  const proxy = await lab.startProxy();
  const frames = Array.from({ length: 300 }, (_, number) =>
    numberedFrame(number, LENGTHS[number % LENGTHS.length]),
  );
  const bytes = (list: Buffer[]) => list.reduce((sum, frame) => sum + frame.length, 0);
  for (const frame of frames.slice(0, 100)) lab.guest.send(frame);
  t.deepEqual(await proxy.execute('seal', { epoch: 1 }), {
    epoch: 1,
    frames: 100,
    bytes: bytes(frames.slice(0, 100)),
  });
  for (const frame of frames.slice(100, 200)) lab.guest.send(frame);
  await proxy.execute('seal', { epoch: 2 });
  for (const frame of frames.slice(200)) lab.guest.send(frame);
  await until(() => proxy.epochsOf('OUTPUT_PENDING').length === 3, 'three events');
  t.deepEqual(proxy.epochsOf('OUTPUT_PENDING'), [1, 2, 3]);
  t.deepEqual(lab.outside.receiveAll(), []);

  await proxy.execute('release', { epoch: 1 });
  const first = await lab.outside.receiveCount(100);
  t.is(first.length, 100);
  await proxy.execute('release', { epoch: 2 });
  await proxy.execute('release', { epoch: 1 });
  const second = await lab.outside.receiveCount(100);
  const left = [...first, ...second].map(frame => frame.subarray(10));
  t.deepEqual(left, frames.slice(0, 200));
  const { epoch, pending } = await proxy.status();
  t.deepEqual(epoch, { open: 3, sealed: 2, released: 2 });
  t.true(pending);
  t.deepEqual(lab.outside.receiveAll(), []);
});

test('needs root: the held frames of a dead epoch are discarded, released ones are not', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  lab.guest.send(numberedFrame(1));
  await proxy.execute('seal');
  await proxy.execute('release', { epoch: 1 });
  for (const number of [2, 3]) lab.guest.send(numberedFrame(number));
  await proxy.execute('seal', { epoch: 2 });
  lab.guest.send(numberedFrame(4));
  t.deepEqual(await proxy.execute('discard'), { frames: 3, bytes: 180 });
  await proxy.execute('release', { epoch: 2 });
  lab.guest.send(numberedFrame(5));
  t.deepEqual(await proxy.execute('seal', { epoch: 3 }), { epoch: 3, frames: 1, bytes: 60 });
  await proxy.execute('release', { epoch: 3 });
  const frames = await lab.outside.receiveCount(2);
  t.deepEqual(frames.map(numberOf), [1, 5]);
  const stats = await proxy.execute('query-stats');
  t.is(stats.framesCaptured, 5);
  t.is(stats.framesDiscarded, 3);
  t.is(stats.framesSent, 2);
});

test('needs root: epochs that do not fit are refused and change nothing', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  const refused = async (command: string, epoch: number) =>
    t.throwsAsync(proxy.execute(command, { epoch }), { code: 'CURLING_EPOCH' });
  t.deepEqual(await proxy.execute('hold', { epoch: 70 }), { epoch: 70 });
  t.deepEqual(await proxy.execute('hold'), { epoch: 70 });
  await refused('seal', 69);
  await refused('seal', 71);
  await refused('release', 70);
  lab.guest.send(numberedFrame(1));
  await until(() => proxy.epochsOf('OUTPUT_PENDING').length === 1, 'the event');
  await refused('hold', 90);
  t.deepEqual(await proxy.execute('hold', { epoch: 70 }), { epoch: 70 });
  await proxy.execute('seal', { epoch: 70 });
  await refused('hold', 90);
  await refused('release', 71);
  await proxy.execute('release', { epoch: 70 });
  t.is((await lab.outside.receiveCount(1)).length, 1);
  t.deepEqual(await proxy.execute('hold', { epoch: 90 }), { epoch: 90 });
  for (const epoch of [0, -1, 1.5, '3', null, 2 ** 53]) {
    await t.throwsAsync(proxy.execute('release', { epoch }), { code: 'CURLING_MESSAGE' });
  }
});

test('needs root: near the bound it says so, beyond it frames are lost and counted, and none leaves early', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy('--buffer-mib', '4');
  const { framesMax } = (await proxy.status()).held as { framesMax: number };
  const nearly = Math.ceil((framesMax * 7) / 8);
  for (let number = 0; number < nearly - 100; number++) lab.guest.send(numberedFrame(number));
  await proxy.status();
  t.deepEqual(proxy.epochsOf('BUFFER_FULL'), []);
  for (let number = nearly - 100; number < framesMax + 40; number++) {
    lab.guest.send(numberedFrame(number));
  }
  await until(() => proxy.epochsOf('BUFFER_FULL').length === 1, 'the event');
  t.is((await proxy.execute('seal', { epoch: 1 })).frames, framesMax);
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('release', { epoch: 1 });
  const first = await lab.outside.receiveCount(framesMax);
  for (let number = 0; number < 40; number++) lab.guest.send(numberedFrame(100_000 + number));
  t.is((await proxy.execute('seal', { epoch: 2 })).frames, 40);
  await proxy.execute('release', { epoch: 2 });
  const second = await lab.outside.receiveCount(40);
  t.deepEqual(
    [...first, ...second].map(numberOf),
    Array.from({ length: framesMax + 40 }, (_, index) =>
      index < framesMax ? index : 100_000 + index - framesMax,
    ),
  );
  const stats = await proxy.execute('query-stats');
  t.is(stats.bufferFullEpisodes, 1);
  t.is(stats.kernelDrops, 40);
  t.deepEqual(proxy.epochsOf('BUFFER_FULL'), [1]);
});

test('needs root: large frames that find no room stay in the queue, and leave later, in order', async t => {
  const lab = await TapLab.create(t);
  await lab.ip(['link set up0 mtu 9000', 'link set tap0 mtu 9000']);
  const proxy = await lab.startProxy('--buffer-mib', '4');
  // The memory for large frames is 1.5 MiB, and as much again may wait in the kernel's queue.
  const count = 250;
  for (let number = 0; number < count; number++) lab.guest.send(numberedFrame(number, 9000));
  await until(() => proxy.epochsOf('BUFFER_FULL').length === 1, 'the event');
  const { frames } = (await proxy.execute('seal')) as { frames: number };
  t.true(frames > 100 && frames < count, String(frames));
  await proxy.execute('release', { epoch: 1 });
  const first = await lab.outside.receiveCount(frames);
  const rest = (await proxy.execute('seal')).frames as number;
  await proxy.execute('release', { epoch: 2 });
  const second = await lab.outside.receiveCount(rest);
  const numbers = [...first, ...second].map(numberOf);
  t.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
  );
  t.is(new Set(numbers).size, numbers.length);
  const stats = await proxy.execute('query-stats');
  t.is(numbers.length + (stats.kernelDrops as number), count);
  t.is(stats.receiveErrors, 0);
});

test('needs root: what passes leaves at once, in order, and hold begins behind it', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  for (let number = 0; number < 5; number++) lab.guest.send(numberedFrame(number));
  await proxy.execute('pass');
  t.is((await proxy.status()).state, 'pass');
  for (let number = 5; number < 300; number++) lab.guest.send(numberedFrame(number));
  const passed = await lab.outside.receiveCount(300);
  t.deepEqual(
    passed.map(numberOf),
    Array.from({ length: 300 }, (_, number) => number),
  );
  await t.throwsAsync(proxy.execute('seal'), { code: 'CURLING_NOT_HOLDING' });
  t.deepEqual(await proxy.execute('hold', { epoch: 9 }), { epoch: 9 });
  lab.guest.send(numberedFrame(300));
  t.is((await proxy.execute('seal', { epoch: 9 })).frames, 1);
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('pass');
  t.is((await lab.outside.receiveCount(1)).length, 1);
  await proxy.execute('bypass');
  t.is((await proxy.status()).state, 'bypass');
  await t.throwsAsync(proxy.execute('pass'), { code: 'CURLING_NOT_HOLDING' });
});

test('needs root: the bridge learns from held frames where the guest is', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  lab.guest.send(numberedFrame(1));
  await until(() => proxy.epochsOf('OUTPUT_PENDING').length === 1, 'the event');
  t.deepEqual((await proxy.status()).guestMacs, ['02:00:00:c1:00:01']);
  const placed = async () => (await lab.tool('bridge fdb show dev tap0')).includes('02:00:00:c1');
  for (let tries = 0; !(await placed()) && tries < 200; tries++);
  t.true(await placed());
  await proxy.execute('bypass');
  t.false(await placed());
});
