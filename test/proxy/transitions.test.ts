import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { numberedFrame, numberOf, OUTSIDE_MAC, type TapEnd, TapLab, until } from './lab.ts';

/** A frame from outside to the guest. */
function inboundFrame(number: number): Buffer {
  const frame = numberedFrame(number);
  frame.copyWithin(0, 6, 12);
  frame.set(OUTSIDE_MAC, 6);
  return frame;
}

async function arrives(from: TapEnd, to: TapEnd, frame: Buffer): Promise<boolean> {
  from.send(frame);
  const frames = await to.receiveCount(1);
  return frames.length === 1 && frames[0]!.subarray(10).equals(frame);
}

test('needs root: inbound frames arrive in hold, and a guest that never spoke may in bypass', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  t.is((await proxy.status()).state, 'hold');
  t.true(await arrives(lab.outside, lab.guest, inboundFrame(1)));
  t.deepEqual(await proxy.execute('bypass'), {});
  t.is((await proxy.status()).state, 'bypass');
  t.true(await arrives(lab.guest, lab.outside, numberedFrame(2)));
  t.true(await arrives(lab.outside, lab.guest, inboundFrame(3)));
  t.is((await proxy.execute('query-stats')).framesCaptured, 0);
  await t.throwsAsync(proxy.execute('seal'), { code: 'CURLING_NOT_HOLDING' });
});

test('needs root: a released broadcast does not come back to the guest', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  const frame = numberedFrame(1);
  frame.fill(0xff, 0, 6);
  lab.guest.send(frame);
  await proxy.execute('seal');
  await proxy.execute('release', { epoch: 1 });
  t.is((await lab.outside.receiveCount(1)).length, 1);
  t.deepEqual(lab.guest.receiveAll(), []);
});

test('needs root: bypass sends all that is held first, in order, sealed or not', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy('--initial', 'bypass');
  t.deepEqual(await proxy.execute('hold', { epoch: 5 }), { epoch: 5 });
  for (let number = 0; number < 300; number++) {
    lab.guest.send(numberedFrame(number));
    if (number === 100) await proxy.execute('seal', { epoch: 5 });
  }
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('bypass');
  for (let number = 300; number < 310; number++) lab.guest.send(numberedFrame(number));
  const numbers = (await lab.outside.receiveCount(310)).map(numberOf);
  t.deepEqual(
    numbers,
    Array.from({ length: 310 }, (_, number) => number),
  );
  t.deepEqual((await proxy.status()).epoch, { open: 7, sealed: 6, released: 6 });
  t.deepEqual(await proxy.execute('hold'), { epoch: 7 });
});

test('needs root: under a flood no frame leaves twice, nor in another order, over many transitions', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  const seen: number[] = [];
  let sent = 0;
  let over = false;
  const flood = (async () => {
    while (!over) {
      for (let count = 0; count < 20; count++) lab.guest.send(numberedFrame(sent++));
      seen.push(...lab.outside.receiveAll().map(numberOf));
      await turn();
    }
  })();
  let duringBypass = 0;
  for (let round = 0; round < 30; round++) {
    await proxy.execute('bypass');
    const before = seen.length;
    await until(() => seen.length > before, 'frames in bypass');
    duringBypass += seen.length - before;
    const { epoch } = await proxy.execute('hold');
    await proxy.execute('seal', { epoch });
    if (round % 3 === 0) await proxy.execute('discard');
    else await proxy.execute('release', { epoch });
  }
  over = true;
  await flood;
  await proxy.execute('bypass');
  seen.push(...lab.outside.receiveAll().map(numberOf));
  const stats = await proxy.execute('query-stats');
  t.true(duringBypass > 0);
  t.true((stats.framesSent as number) > 0);
  t.true((stats.framesDiscarded as number) > 0);
  const wrong = seen.findIndex((number, index) => index > 0 && number <= seen[index - 1]!);
  t.is(wrong, -1, `frame ${seen[wrong]} after ${seen[wrong - 1]}, of ${seen.length}`);
});

test('needs root: killed, it leaves the tap closed and inbound open; the next one takes it over', async t => {
  const lab = await TapLab.create(t);
  const first = await lab.startProxy();
  lab.guest.send(numberedFrame(1));
  await until(() => first.epochsOf('OUTPUT_PENDING').length === 1, 'the event');
  await first.end('SIGKILL');
  for (let number = 2; number < 50; number++) lab.guest.send(numberedFrame(number));
  t.true(await arrives(lab.outside, lab.guest, inboundFrame(1)));
  t.deepEqual(lab.outside.receiveAll(), []);

  const second = await lab.startProxy();
  await until(() => /left closed/.test(second.log), 'the log to say so');
  lab.guest.send(numberedFrame(50));
  t.deepEqual(await second.execute('seal', { epoch: 1 }), { epoch: 1, frames: 1, bytes: 60 });
  await second.execute('release', { epoch: 1 });
  t.deepEqual((await lab.outside.receiveCount(1)).map(numberOf), [50]);
  await second.execute('bypass');
  t.true(await arrives(lab.guest, lab.outside, numberedFrame(51)));
  t.regex(await lab.tool('bridge -d link show dev tap0'), /isolated off/);
});

test('needs root: ended in hold it stays closed, and --restore opens it', async t => {
  const lab = await TapLab.create(t);
  const before = await lab.tool('bridge -d link show dev tap0');
  const proxy = await lab.startProxy();
  lab.guest.send(numberedFrame(1));
  await until(() => proxy.epochsOf('OUTPUT_PENDING').length === 1, 'the event');
  const early = lab.spawnProxy('--tap', 'tap0', '--restore');
  t.is(await early.exited, 1);
  t.regex(early.log, /CURLING_BUSY/);
  t.deepEqual(lab.outside.receiveAll(), []);
  t.is(await proxy.end('SIGTERM'), 0);
  t.regex(proxy.log, /curling-proxy --tap tap0 --restore/);
  lab.guest.send(numberedFrame(2));
  t.deepEqual(lab.outside.receiveAll(), []);

  const restore = lab.spawnProxy('--tap', 'tap0', '--restore');
  t.is(await restore.exited, 0);
  t.true(await arrives(lab.guest, lab.outside, numberedFrame(3)));
  t.is(await lab.tool('bridge -d link show dev tap0'), before);
  t.notRegex(await lab.tool('tc qdisc show dev tap0'), /clsact/);
  t.notRegex(await lab.tool('bridge fdb show dev tap0'), /extern_learn/);
});

test('needs root: ended in bypass it leaves everything as it was found', async t => {
  const lab = await TapLab.create(t);
  await lab.tool('bridge link set dev tap0 isolated on');
  await lab.tool('tc qdisc add dev tap0 clsact');
  const look = async () =>
    (await lab.tool('bridge -d link show')) + (await lab.tool('tc qdisc show dev tap0'));
  const before = await look();
  const proxy = await lab.startProxy();
  await proxy.execute('bypass');
  t.is(await proxy.end('SIGTERM'), 0);
  t.is(await look(), before);
  t.true(await arrives(lab.guest, lab.outside, numberedFrame(3)));
});

test('needs root: a tap that goes down is said, one that vanishes ends the proxy', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  const states = () => proxy.events.filter(one => one.event === 'LINK').map(one => one.data.state);
  await lab.ip(['link set tap0 down']);
  await until(() => states().length === 1, 'LINK');
  await lab.ip(['link set tap0 up']);
  await until(() => states().length === 2, 'LINK');
  lab.guest.send(numberedFrame(1));
  t.is((await proxy.execute('seal')).frames, 1);
  await lab.ip(['link set tap0 nomaster']);
  t.is(await proxy.exited, 1);
  t.regex(proxy.log, /CURLING_TAP_GONE/);
  t.deepEqual(states(), ['down', 'up', 'gone']);
});

test('needs root: the own tap follows the MTU of the tap', async t => {
  const lab = await TapLab.create(t);
  await lab.startProxy();
  await lab.ip(['link set tap0 mtu 4000']);
  const follows = async () => (await lab.tool('ip link show cp-tap0')).includes('mtu 4000');
  for (let tries = 0; !(await follows()) && tries < 400; tries++);
  t.true(await follows());
});
