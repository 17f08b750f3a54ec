import test, { type ExecutionContext } from 'ava';
import { BROADCAST_MAC, ethernet, payload, received, wireFrames } from './frame-builders.ts';
import { KINDS, KINDS_MTU } from './frame-kinds.ts';
import {
  GUEST_MAC,
  numberedFrame,
  numberOf,
  OUTSIDE_MAC,
  type RunningProxy,
  type TapEnd,
  TapLab,
  until,
} from './lab.ts';

const SECOND_MAC = Buffer.from('020000c10011', 'hex');
const BOTH = ['--tap', 'tap0', '--tap', 'tap1'];

/** A host with two bridges: the guest's second tap and a second world outside are on br1. */
interface TwoTaps {
  lab: TapLab;
  guests: [TapEnd, TapEnd];
  outsides: [TapEnd, TapEnd];
}

async function openLab(t: ExecutionContext): Promise<TwoTaps> {
  const lab = await TapLab.create(t);
  await lab.ip(['link add br1 type bridge', 'link set br1 addrgenmode none up']);
  const guest = await lab.addTap('tap1', 'br1');
  const outside = await lab.addTap('up1', 'br1');
  await lab.ip(['link set up0 txqueuelen 50000', 'link set up1 txqueuelen 50000']);
  return { lab, guests: [lab.guest, guest], outsides: [lab.outside, outside] };
}

function start(lab: TapLab, ...args: string[]): Promise<RunningProxy> {
  return lab.spawnProxy(...BOTH, '--buffer-mib', '16', ...args).connect();
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** Sends `count` frames from each tap in turn: numbers from `first` on the first tap, 100,000 more on the second. */
function sendBoth({ guests }: TwoTaps, first: number, count: number): void {
  for (const number of range(first, count)) {
    guests[0].send(numberedFrame(number));
    guests[1].send(numberedFrame(100_000 + number));
  }
}

/** Checks that exactly these frames of `sendBoth` leave, each on the bridge of its tap, in order. */
async function bothLeave(
  t: ExecutionContext,
  { outsides }: TwoTaps,
  first: number,
  count: number,
): Promise<void> {
  for (const [index, outside] of outsides.entries()) {
    const numbers = (await outside.receiveCount(count)).map(numberOf);
    t.deepEqual(numbers, range(index * 100_000 + first, count));
  }
}

function noneLeaves(t: ExecutionContext, { outsides }: TwoTaps): void {
  for (const outside of outsides) t.deepEqual(outside.receiveAll(), []);
}

async function goesThrough(from: TapEnd, to: TapEnd, frame: Buffer): Promise<boolean> {
  from.send(frame);
  const frames = await to.receiveCount(1);
  return frames.length === 1 && received(frames[0]!).frame.equals(frame);
}

function inbound(number: number): Buffer {
  return ethernet(0x88b5, payload(46, number), { destination: GUEST_MAC, source: OUTSIDE_MAC });
}

test('needs root: two taps are sealed as one and released as one, each on its own bridge', async t => {
  const host = await openLab(t);
  const proxy = await start(host.lab);
  sendBoth(host, 0, 50);
  t.deepEqual(await proxy.execute('seal', { epoch: 1 }), { epoch: 1, frames: 100, bytes: 6000 });
  sendBoth(host, 50, 20);
  await until(() => proxy.epochsOf('OUTPUT_PENDING').length >= 2, 'two events');
  t.like(await proxy.execute('seal', { epoch: 2 }), { frames: 40 });
  sendBoth(host, 70, 10);
  noneLeaves(t, host);
  await proxy.execute('release', { epoch: 1 });
  await bothLeave(t, host, 0, 50);
  noneLeaves(t, host);
  await proxy.execute('release', { epoch: 2 });
  await bothLeave(t, host, 50, 20);
  noneLeaves(t, host);
  await until(() => proxy.epochsOf('OUTPUT_PENDING').length >= 3, 'three events');
  t.deepEqual(proxy.epochsOf('OUTPUT_PENDING'), [1, 2, 3]);
  t.like(await proxy.execute('query-stats'), { framesCaptured: 160, framesSent: 140 });
});

test('needs root: a seal takes all that waits from both taps, whichever is asked first', async t => {
  const host = await openLab(t);
  const proxy = await start(host.lab);
  proxy.child.kill('SIGSTOP');
  sendBoth(host, 0, 1000);
  const sealed = proxy.execute('seal');
  proxy.child.kill('SIGCONT');
  t.deepEqual(await sealed, { epoch: 1, frames: 2000, bytes: 120_000 });
  await proxy.execute('release', { epoch: 1 });
  await bothLeave(t, host, 0, 1000);
});

test('needs root: output of either tap alone is said, once an epoch', async t => {
  const host = await openLab(t);
  const proxy = await start(host.lab);
  for (const [index, guest] of [host.guests[1], host.guests[0], host.guests[1]].entries()) {
    const epoch = index + 1;
    guest.send(numberedFrame(epoch));
    await until(() => proxy.epochsOf('OUTPUT_PENDING').length === epoch, 'the event');
    t.true((await proxy.status()).pending);
    t.like(await proxy.execute('seal', { epoch }), { frames: 1 });
    t.false((await proxy.status()).pending);
  }
  await proxy.execute('release', { epoch: 3 });
  t.deepEqual((await host.outsides[0].receiveCount(1)).map(numberOf), [2]);
  t.deepEqual((await host.outsides[1].receiveCount(2)).map(numberOf), [1, 3]);
  t.deepEqual(proxy.epochsOf('OUTPUT_PENDING'), [1, 2, 3]);
});

test('needs root: the status names both taps, their ports and who is behind each', async t => {
  const host = await openLab(t);
  const proxy = await start(host.lab);
  host.guests[0].send(numberedFrame(1));
  const fields = { source: SECOND_MAC, destination: BROADCAST_MAC };
  host.guests[1].send(ethernet(0x88b5, payload(46), fields));
  await proxy.execute('seal');
  const status = await proxy.status();
  t.like(status, { tap: 'tap0', bridge: 'br0', port: 'cp-tap0', state: 'hold' });
  t.deepEqual(status.taps, [
    { tap: 'tap0', bridge: 'br0', port: 'cp-tap0', guestMacs: ['02:00:00:c1:00:01'] },
    { tap: 'tap1', bridge: 'br1', port: 'cp-tap1', guestMacs: ['02:00:00:c1:00:11'] },
  ]);
  for (const [tap, mac] of [
    ['tap0', '02:00:00:c1:00:01'],
    ['tap1', '02:00:00:c1:00:11'],
  ] as const) {
    const placed = async () => (await host.lab.tool(`bridge fdb show dev ${tap}`)).includes(mac);
    for (let looks = 0; !(await placed()) && looks < 300; looks++);
    t.true(await placed());
  }
});

test('needs root: every kind of frame leaves whole when two taps send them in turn', async t => {
  const host = await openLab(t);
  const names = ['br0', 'tap0', 'up0', 'br1', 'tap1', 'up1'];
  await host.lab.ip(names.map(name => `link set ${name} mtu ${KINDS_MTU}`));
  const proxy = await start(host.lab, '--buffer-mib', '64');
  for (const { header, frame } of KINDS) for (const guest of host.guests) guest.send(frame, header);
  t.like(await proxy.execute('seal'), { frames: 2 * KINDS.length });
  noneLeaves(t, host);
  await proxy.execute('release', { epoch: 1 });
  const expected = KINDS.filter(kind => kind.leaves).flatMap(wireFrames);
  for (const outside of host.outsides) {
    const wire: Buffer[] = [];
    while (wire.length < expected.length) {
      wire.push(...(await outside.receiveCount(1)).map(received).flatMap(wireFrames));
    }
    t.is(wire.length, expected.length);
    t.is(
      wire.findIndex((frame, index) => !frame.equals(expected[index]!)),
      -1,
    );
  }
});

test('needs root: two taps on one bridge are held and released too', async t => {
  const lab = await TapLab.create(t);
  const second = await lab.addTap('tap1');
  const proxy = await start(lab);
  for (const number of range(0, 20)) {
    lab.guest.send(numberedFrame(number));
    const frame = numberedFrame(100 + number);
    frame.set(SECOND_MAC, 6);
    second.send(frame);
  }
  t.like(await proxy.execute('seal', { epoch: 1 }), { frames: 40 });
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('release', { epoch: 1 });
  const numbers = (await lab.outside.receiveCount(40)).map(numberOf);
  t.deepEqual(
    numbers.filter(number => number < 100),
    range(0, 20),
  );
  t.deepEqual(
    numbers.filter(number => number >= 100),
    range(100, 20),
  );
  t.deepEqual(lab.guest.receiveAll(), []);
  t.deepEqual(second.receiveAll(), []);
});

test('needs root: discard drops, bypass opens and hold closes both', async t => {
  const host = await openLab(t);
  const proxy = await start(host.lab);
  const [guest0, guest1] = host.guests;
  const [outside0, outside1] = host.outsides;
  sendBoth(host, 0, 10);
  await proxy.execute('seal', { epoch: 1 });
  sendBoth(host, 10, 10);
  t.deepEqual(await proxy.execute('discard'), { frames: 40, bytes: 2400 });
  sendBoth(host, 20, 5);
  await proxy.execute('bypass');
  await bothLeave(t, host, 20, 5);
  t.true(await goesThrough(guest0, outside0, numberedFrame(1)));
  t.true(await goesThrough(guest1, outside1, numberedFrame(2)));
  await proxy.execute('hold');
  sendBoth(host, 30, 5);
  noneLeaves(t, host);
  t.true(await goesThrough(outside0, guest0, inbound(3)));
  t.true(await goesThrough(outside1, guest1, inbound(4)));
  const { epoch, frames } = await proxy.execute('seal');
  t.is(frames, 10);
  await proxy.execute('release', { epoch: epoch as number });
  await bothLeave(t, host, 30, 5);
});

test('needs root: each tap has its share of the memory, and what finds no room is counted', async t => {
  const host = await openLab(t);
  const proxy = await start(host.lab, '--buffer-mib', '8');
  const held = (await proxy.status()).held as { framesMax: number; bytesMax: number };
  t.is(held.bytesMax, 8 << 20);
  const share = held.framesMax / 2;
  const [flooding, quiet] = host.guests;
  for (let number = 0; number < share + 10; number++) flooding!.send(numberedFrame(number));
  for (let number = 0; number < 5; number++) quiet!.send(numberedFrame(100_000 + number));
  await until(() => proxy.epochsOf('BUFFER_FULL').length === 1, 'the event');
  t.is((await proxy.execute('seal', { epoch: 1 })).frames, share + 5);
  noneLeaves(t, host);
  await proxy.execute('release', { epoch: 1 });
  const [first, second] = host.outsides;
  t.deepEqual((await first!.receiveCount(share)).map(numberOf), range(0, share));
  t.deepEqual((await second!.receiveCount(5)).map(numberOf), range(100_000, 5));
  t.like(await proxy.execute('query-stats'), { kernelDrops: 10, framesSent: share + 5 });
});

for (const gone of [0, 1]) {
  test(`needs root: when tap${gone} goes away the proxy ends, and nothing of either leaves`, async t => {
    const host = await openLab(t);
    const proxy = await start(host.lab);
    sendBoth(host, 0, 5);
    await proxy.execute('seal', { epoch: 1 });
    sendBoth(host, 5, 5);
    await host.lab.ip([`link del tap${gone}`]);
    t.is(await proxy.exited, 1);
    t.regex(proxy.log, new RegExp(`CURLING_TAP_GONE: tap${gone}`));
    host.guests[1 - gone]!.send(numberedFrame(9));
    noneLeaves(t, host);
    t.notRegex(await host.lab.tool('ip -o link'), /cp-tap/);
  });
}

test('needs root: a tap that goes down does not keep the other from being released', async t => {
  const host = await openLab(t);
  const proxy = await start(host.lab);
  sendBoth(host, 0, 3);
  await host.lab.ip(['link set tap1 down']);
  host.guests[0].send(numberedFrame(3));
  t.like(await proxy.execute('seal', { epoch: 1 }), { frames: 7 });
  await proxy.execute('release', { epoch: 1 });
  t.deepEqual((await host.outsides[0].receiveCount(4)).map(numberOf), range(0, 4));
  t.deepEqual((await host.outsides[1].receiveCount(3)).map(numberOf), range(100_000, 3));
  await host.lab.ip(['link set tap1 up']);
  sendBoth(host, 4, 3);
  t.like(await proxy.execute('seal', { epoch: 2 }), { frames: 6 });
  await proxy.execute('release', { epoch: 2 });
  await bothLeave(t, host, 4, 3);
});

test('needs root: killed, it leaves both closed; the next one takes both over', async t => {
  const host = await openLab(t);
  const first = await start(host.lab);
  sendBoth(host, 0, 5);
  await until(() => first.epochsOf('OUTPUT_PENDING').length === 1, 'the event');
  await first.end('SIGKILL');
  sendBoth(host, 5, 5);
  noneLeaves(t, host);
  t.true(await goesThrough(host.outsides[1], host.guests[1], inbound(1)));

  const second = await start(host.lab);
  sendBoth(host, 10, 5);
  t.like(await second.execute('seal', { epoch: 1 }), { frames: 10 });
  await second.execute('release', { epoch: 1 });
  await bothLeave(t, host, 10, 5);
  t.is(await second.end('SIGTERM'), 0);
  sendBoth(host, 15, 5);
  noneLeaves(t, host);
  for (const tap of ['tap0', 'tap1']) {
    t.is(await host.lab.spawnProxy('--tap', tap, '--restore').exited, 0);
  }
  t.true(await goesThrough(host.guests[0], host.outsides[0], numberedFrame(1)));
  t.true(await goesThrough(host.guests[1], host.outsides[1], numberedFrame(2)));
});

test('needs root: ended in bypass it leaves both as it found them', async t => {
  const host = await openLab(t);
  await host.lab.tool('bridge link set dev tap1 isolated on');
  const look = async () =>
    (await host.lab.tool('bridge -d link show')) + (await host.lab.tool('tc qdisc'));
  const before = await look();
  const proxy = await start(host.lab);
  await proxy.execute('bypass');
  t.is(await proxy.end('SIGTERM'), 0);
  t.is(await look(), before);
});

test('needs root: when one tap cannot be served the other is not touched', async t => {
  const host = await openLab(t);
  const look = async () =>
    (await host.lab.tool('bridge -d link show')) + (await host.lab.tool('tc qdisc'));
  const before = await look();
  const cases: [string[], RegExp][] = [
    [['--tap', 'tap0', '--tap', 'none0'], /CURLING_TAP_NOT_FOUND/],
    [['--tap', 'none0', '--tap', 'tap0'], /CURLING_TAP_NOT_FOUND/],
    [['--tap', 'tap0', '--tap', 'br1'], /CURLING_TAP_UNSUPPORTED/],
    [['--tap', 'tap0', '--tap', 'tap0'], /CURLING_USAGE/],
  ];
  for (const [args, code] of cases) {
    const proxy = host.lab.spawnProxy(...args);
    t.not(await proxy.exited, 0, args.join(' '));
    t.regex(proxy.log, code);
  }
  t.is(await look(), before);
  t.true(await goesThrough(host.guests[0], host.outsides[0], numberedFrame(1)));
});
