import test from 'ava';
import { BROADCAST_MAC, ETHER_TYPE, ethernet, payload, plain, received } from './frame-builders.ts';
import {
  GUEST_MAC,
  numberedFrame,
  numberOf,
  OUTSIDE_MAC,
  type RunningProxy,
  TapLab,
} from './lab.ts';

const SECOND_MAC = Buffer.from('020000c10011', 'hex');
const THIRD_MAC = Buffer.from('020000c10033', 'hex');

async function sealAndRelease(proxy: RunningProxy): Promise<void> {
  const { epoch } = await proxy.execute('seal');
  await proxy.execute('release', { epoch: epoch as number });
}

async function numbersOut(lab: TapLab, count: number): Promise<number[]> {
  return (await lab.outside.receiveCount(count)).map(numberOf);
}

/** Waits until what a tool prints fits; each look takes the tool some milliseconds. */
async function prints(
  lab: TapLab,
  command: string,
  fits: (text: string) => boolean,
): Promise<boolean> {
  for (let looks = 0; looks < 300; looks++) {
    if (fits(await lab.tool(command))) return true;
  }
  return false;
}

test('needs root: a tap that goes down and up in a hold loses nothing of what is held, and stays held', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  for (const number of [1, 2]) lab.guest.send(numberedFrame(number));
  await proxy.execute('seal', { epoch: 1 });
  for (const number of [3, 4]) lab.guest.send(numberedFrame(number));
  await lab.ip(['link set tap0 down']);
  t.throws(() => lab.guest.send(numberedFrame(5)), { code: 'EIO' });
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('release', { epoch: 1 });
  t.deepEqual(await numbersOut(lab, 2), [1, 2]);

  await lab.ip(['link set tap0 up']);
  lab.guest.send(numberedFrame(6));
  t.like(await proxy.execute('seal', { epoch: 2 }), { frames: 3, bytes: 180 });
  lab.guest.send(numberedFrame(7));
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('release', { epoch: 2 });
  t.deepEqual(await numbersOut(lab, 3), [3, 4, 6]);
  await sealAndRelease(proxy);
  t.deepEqual(await numbersOut(lab, 1), [7]);
  for (const change of ['down', 'up', 'down', 'up']) await lab.ip([`link set tap0 ${change}`]);
  lab.guest.send(numberedFrame(8));
  await proxy.end('SIGKILL');
  for (const change of ['down', 'up']) await lab.ip([`link set tap0 ${change}`]);
  lab.guest.send(numberedFrame(9));
  t.deepEqual(lab.outside.receiveAll(), []);
});

test('needs root: a tap that is deleted in a hold ends the proxy with a reason, and nothing leaves', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  lab.guest.send(numberedFrame(1));
  await proxy.execute('seal', { epoch: 1 });
  lab.guest.send(numberedFrame(2));
  await lab.ip(['link del tap0']);
  t.is(await proxy.exited, 1);
  t.regex(proxy.log, /CURLING_TAP_GONE: tap0 is gone/);
  t.deepEqual(
    proxy.events.filter(one => one.event === 'LINK').map(one => one.data.state),
    ['gone'],
  );
  t.deepEqual(lab.outside.receiveAll(), []);
  t.notRegex(await lab.tool('ip -o link'), /cp-tap0/);

  const again = await lab.addTap('tap0');
  const next = await lab.startProxy();
  again.send(numberedFrame(3));
  t.like(await next.execute('seal', { epoch: 1 }), { frames: 1 });
  t.deepEqual(lab.outside.receiveAll(), []);
  await next.execute('release', { epoch: 1 });
  t.deepEqual(await numbersOut(lab, 1), [3]);
});

test('needs root: frames held before the MTU changes leave as they were sent', async t => {
  const lab = await TapLab.create(t);
  await lab.ip(['link set up0 mtu 9000', 'link set tap0 mtu 9000']);
  const proxy = await lab.startProxy();
  const frames = [60, 1514, 1518, 4000, 9014].map(length => numberedFrame(length, length));
  const expected = frames.map(plain);
  const released = async () => (await lab.outside.receiveCount(frames.length)).map(received);
  const portHas = (mtu: number) =>
    prints(lab, 'ip link show cp-tap0', text => text.includes(`mtu ${mtu} `));

  for (const frame of frames) lab.guest.send(frame);
  await proxy.execute('seal', { epoch: 1 });
  await lab.ip(['link set tap0 mtu 1500']);
  t.true(await portHas(1500));
  await proxy.execute('release', { epoch: 1 });
  t.deepEqual(await released(), expected);

  // The guest uses the larger MTU before the proxy has seen it.
  await lab.ip(['link set tap0 mtu 9000']);
  for (const frame of frames) lab.guest.send(frame);
  await sealAndRelease(proxy);
  t.deepEqual(await released(), expected);
  t.true(await portHas(9000));
  for (const frame of frames) lab.guest.send(frame);
  await sealAndRelease(proxy);
  t.deepEqual(await released(), expected);
});

function frameFrom(source: Buffer, destination: Buffer, number: number): Buffer {
  const content = payload(46, number);
  return ethernet(ETHER_TYPE.local, content, { source, destination });
}

test('needs root: a guest that changes its address in a hold is reached at both, and only there', async t => {
  const lab = await TapLab.create(t);
  const other = await lab.addTap('else0');
  const proxy = await lab.startProxy();
  const frames = [GUEST_MAC, SECOND_MAC].map((mac, number) =>
    frameFrom(mac, BROADCAST_MAC, number),
  );
  for (const frame of frames) lab.guest.send(frame);
  const placed = (text: string) =>
    text.includes('02:00:00:c1:00:01') && text.includes('02:00:00:c1:00:11');
  t.true(await prints(lab, 'bridge fdb show dev tap0', placed));
  await sealAndRelease(proxy);
  t.deepEqual((await lab.outside.receiveCount(2)).map(received), frames.map(plain));
  t.deepEqual((await other.receiveCount(2)).map(received), frames.map(plain));
  t.deepEqual((await proxy.status()).guestMacs, ['02:00:00:c1:00:01', '02:00:00:c1:00:11']);

  const inbound = [GUEST_MAC, SECOND_MAC].map((mac, number) => frameFrom(THIRD_MAC, mac, number));
  for (const frame of inbound) lab.outside.send(frame);
  t.deepEqual((await lab.guest.receiveCount(2)).map(received), inbound.map(plain));
  t.deepEqual(other.receiveAll(), []);
  t.notRegex(await lab.tool('bridge fdb show dev cp-tap0'), /02:00:00:c1/);
});

// The proxy places an address once per hold, so it does not see that the bridge has moved it meanwhile.
test.failing('needs root: an address seen elsewhere is the guest\u2019s again when it speaks', async t => {
  const lab = await TapLab.create(t);
  const other = await lab.addTap('else0');
  const proxy = await lab.startProxy();
  const isOn = (port: string, speak: () => void) =>
    prints(lab, `bridge fdb show dev ${port}`, text => {
      speak();
      return text.includes('02:00:00:c1:00:01');
    });
  const speak = () => lab.guest.send(frameFrom(GUEST_MAC, BROADCAST_MAC, 1));
  t.true(await isOn('tap0', speak));
  await sealAndRelease(proxy);
  t.true(await isOn('else0', () => other.send(frameFrom(GUEST_MAC, OUTSIDE_MAC, 2))));
  t.true(await isOn('tap0', speak));
});
