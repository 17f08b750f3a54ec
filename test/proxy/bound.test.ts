import test from 'ava';
import type { JsonObject } from '../../common/qmp/messages.ts';
import {
  ETHER_TYPE,
  ethernet,
  GSO,
  payload,
  plain,
  received,
  type TapFrame,
  tcp,
  toTap,
  udp,
  vlanTag,
} from './frame-builders.ts';
import { numberedFrame, numberOf, type RunningProxy, TapLab, until } from './lab.ts';

const MTU = 9000;
/** Frames sent between two looks at the counters. */
const BURST = 400;
/** Far beyond every queue: about 4 GiB. */
const LARGE_FRAMES_MAX = 60_000;

/** A frame of `segments` times 1000 bytes, with a number in its TCP sequence. */
function largeFrame(number: number, segments: number): TapFrame {
  const gso = { gsoType: GSO.tcp4, segmentBytes: 1000 };
  const one = toTap(tcp(4, payload(segments * 1000, number), 'partial'), {}, gso);
  one.frame.writeUInt32BE(number, 38);
  return one;
}

function numberOfLarge(bytes: Buffer): number {
  return bytes.readUInt32BE(10 + 38);
}

/** Kinds of frames in turn, small and large, tagged and not. */
function mixed(number: number): TapFrame {
  const tags = [vlanTag(ETHER_TYPE.vlan, number & 0xfff)];
  if (number % 5 === 0) return largeFrame(number, 60);
  if (number % 5 === 1) return plain(ethernet(ETHER_TYPE.local, payload(8000, number), { tags }));
  if (number % 5 === 2) return plain(ethernet(ETHER_TYPE.local, payload(50, number), { tags }));
  return plain(numberedFrame(number, 60 + (number % 1400)));
}

async function openLab(...args: Parameters<typeof TapLab.create>): Promise<TapLab> {
  const lab = await TapLab.create(...args);
  await lab.ip(['br0', 'tap0', 'up0'].map(name => `link set ${name} mtu ${MTU}`));
  await lab.ip(['link set up0 txqueuelen 50000']);
  return lab;
}

/** Seals and releases until nothing is held, and returns all that left. */
async function releaseAll(lab: TapLab, proxy: RunningProxy): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for (let sealed = 1; sealed > 0; ) {
    const { epoch, frames } = await proxy.execute('seal');
    sealed = frames as number;
    await proxy.execute('release', { epoch: epoch as number });
    if (sealed > 0) all.push(...(await lab.outside.receiveCount(sealed)));
  }
  return all;
}

test('needs root: frames of all sizes beyond the bound are said once, and all that is not dropped leaves in order', async t => {
  const lab = await openLab(t);
  const proxy = await lab.startProxy('--buffer-mib', '4');
  const frames = Array.from({ length: 400 }, (_, number) => mixed(number));
  for (const { header, frame } of frames) lab.guest.send(frame, header);
  await until(() => proxy.epochsOf('BUFFER_FULL').length === 1, 'the event');
  t.deepEqual(proxy.epochsOf('OUTPUT_PENDING'), [1]);
  t.deepEqual(lab.outside.receiveAll(), []);
  const first = await proxy.execute('seal', { epoch: 1 });
  t.true((first.frames as number) > 0 && (first.frames as number) < frames.length);
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('release', { epoch: 1 });
  const left = await lab.outside.receiveCount(first.frames as number);
  left.push(...(await releaseAll(lab, proxy)));
  const stats = await proxy.execute('query-stats');
  const lost = stats.kernelDrops as number;
  t.is(left.length + lost, frames.length);
  let at = 0;
  for (const bytes of left) {
    const { header, frame } = received(bytes);
    const same = () => {
      const sent = frames[at]!;
      // How much of a large frame is linear is no matter of its meaning.
      header.copy(sent.header, 2, 2, 4);
      return frame.equals(sent.frame) && header.equals(sent.header);
    };
    while (at < frames.length && !same()) at++;
    at++;
  }
  t.true(at <= frames.length, 'what left is a part of what was sent, in its order');
  t.like(stats, { framesCaptured: left.length, framesSent: left.length, truncated: 0 });
  t.true((stats.bufferFullEpisodes as number) >= 1);
  t.is(proxy.epochsOf('BUFFER_FULL').length, stats.bufferFullEpisodes as number);
});

test('needs root: what the kernel drops at the bound is counted, and all else leaves in order', async t => {
  const lab = await openLab(t);
  const proxy = await lab.startProxy('--buffer-mib', '4');
  const drops = async () => (await proxy.execute('query-stats')).kernelDrops as number;
  let sent = 0;
  while ((await drops()) === 0) {
    t.true(sent < LARGE_FRAMES_MAX, 'no queue overflows');
    for (let count = 0; count < BURST; count++) {
      const { header, frame } = largeFrame(sent++, 64);
      lab.guest.send(frame, header);
    }
  }
  t.deepEqual(lab.outside.receiveAll(), []);
  const lost = await drops();
  const numbers = (await releaseAll(lab, proxy)).map(numberOfLarge);
  t.is(numbers.length, sent - lost);
  // The queue was full, so what is missing is at the end, but for frames that were smaller than those before.
  t.deepEqual(
    numbers,
    Array.from({ length: sent - lost }, (_, number) => number),
  );
  t.like(await proxy.execute('query-stats'), { framesSent: sent - lost, sendErrors: 0 });
  lab.guest.send(numberedFrame(7));
  t.deepEqual((await releaseAll(lab, proxy)).map(numberOf), [7]);
});

/** UDP fragmentation offload, which a packet socket cannot describe: such a frame is lost in a hold. */
function sendUnknown(lab: TapLab, count: number): void {
  const { header, frame } = toTap(
    udp(4, payload(3000), 'partial'),
    {},
    { gsoType: GSO.udpFragments, segmentBytes: 1000 },
  );
  for (let sent = 0; sent < count; sent++) lab.guest.send(frame, header);
}

/** More than a proxy takes out of its queue before it sees a command. */
const UNKNOWN = 20_000;

/** Executes a command that finds all in the queue that `send` sends. */
async function behind(proxy: RunningProxy, send: () => void, command: string): Promise<JsonObject> {
  proxy.child.kill('SIGSTOP');
  send();
  const answer = proxy.execute(command);
  proxy.child.kill('SIGCONT');
  return answer;
}

function lostFrames(stats: JsonObject): number {
  return (stats.receiveErrors as number) + (stats.kernelDrops as number);
}

test('needs root: frames that cannot be captured are counted, and hide none behind them from a seal', async t => {
  const lab = await openLab(t);
  const proxy = await lab.startProxy();
  const sendAround = (number: number) => () => {
    lab.guest.send(numberedFrame(number));
    sendUnknown(lab, UNKNOWN);
    lab.guest.send(numberedFrame(number + 1));
  };
  await behind(proxy, sendAround(1), 'seal');
  lab.guest.send(numberedFrame(3));
  await proxy.execute('release', { epoch: 1 });
  t.deepEqual((await lab.outside.receiveCount(2)).map(numberOf), [1, 2]);
  await behind(proxy, sendAround(4), 'bypass');
  lab.guest.send(numberedFrame(6));
  t.deepEqual((await lab.outside.receiveCount(4)).map(numberOf), [3, 4, 5, 6]);
  t.is(lostFrames(await proxy.execute('query-stats')), 2 * UNKNOWN);
});

test('needs root: frames that cannot be captured hide none behind them from a discard', async t => {
  const lab = await openLab(t);
  const proxy = await lab.startProxy();
  const sendAround = () => {
    lab.guest.send(numberedFrame(1));
    sendUnknown(lab, UNKNOWN);
    lab.guest.send(numberedFrame(2));
  };
  await behind(proxy, sendAround, 'discard');
  lab.guest.send(numberedFrame(3));
  const left: number[] = [];
  for (let seals = 0; !left.includes(3) && seals < 5000; seals++) {
    const { epoch } = await proxy.execute('seal');
    await proxy.execute('release', { epoch: epoch as number });
    left.push(...lab.outside.receiveAll().map(numberOf));
  }
  t.deepEqual(left, [3]);
});

test('needs root: a discard reaches what waits behind a full buffer of released frames', async t => {
  const lab = await openLab(t);
  const proxy = await lab.startProxy('--buffer-mib', '4');
  let discarded = 0;
  let sent = 0;
  const left: number[] = [];
  const released: number[] = [];
  // Whether the thread sees both commands at once is up to the scheduler.
  for (let round = 0; round < 20; round++) {
    // More than the memory for large frames, less than with the kernel's queue.
    for (let count = 0; count < 40; count++) {
      const { header, frame } = largeFrame(sent++, 60);
      lab.guest.send(frame, header);
    }
    const { epoch, frames } = await proxy.execute('seal');
    for (let count = 0; count < (frames as number); count++) released.push(sent - 40 + count);
    const args = { epoch: epoch as number };
    const answers = await Promise.all([proxy.execute('release', args), proxy.execute('discard')]);
    discarded += answers[1].frames as number;
    left.push(...(await lab.outside.receiveCount(frames as number)).map(numberOfLarge));
  }
  t.deepEqual(left, released);
  const { kernelDrops } = await proxy.execute('query-stats');
  t.is(discarded + left.length + (kernelDrops as number), sent);
  t.true(discarded > 0);
  t.deepEqual(lab.outside.receiveAll(), []);
});
