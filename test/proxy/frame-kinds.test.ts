import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import { checked, ioctl } from '../../proxy/syscalls.ts';
import { received, type TapFrame, wireFrames } from './frame-builders.ts';
import { type FrameKind, KINDS, KINDS_MTU } from './frame-kinds.ts';
import { numberedFrame, numberOf, type RunningProxy, type TapEnd, TapLab } from './lab.ts';

const TUNSETOFFLOAD = 0x400454d0;
const MARK_BASE = 0x7000_0000;
/** Kinds sent before the outside is read: what they become must fit the queue of its tap. */
const KINDS_AT_ONCE = 30;

async function openLab(...args: Parameters<typeof TapLab.create>): Promise<TapLab> {
  const lab = await TapLab.create(...args);
  const names = ['br0', 'tap0', 'up0'];
  await lab.ip(names.map(name => `link set ${name} mtu ${KINDS_MTU}`));
  await lab.ip(['link set up0 txqueuelen 50000']);
  return lab;
}

/** Sends every kind, a numbered frame behind each. */
function sendKinds(guest: TapEnd, kinds: readonly FrameKind[]): void {
  for (const [index, { header, frame }] of kinds.entries()) {
    guest.send(frame, header);
    guest.send(numberedFrame(MARK_BASE + index));
  }
}

function isMark(bytes: Buffer): boolean {
  return bytes.length === 70 && bytes.readUInt16BE(22) === 0x88b5 && numberOf(bytes) >= MARK_BASE;
}

/** What came out for each kind; the numbered frames must be there, in order. */
async function receiveKinds(outside: TapEnd, count: number): Promise<TapFrame[][]> {
  const groups: TapFrame[][] = [];
  let group: TapFrame[] = [];
  while (groups.length < count) {
    for (const bytes of await outside.receiveCount(1)) {
      if (!isMark(bytes)) group.push(received(bytes));
      else if (numberOf(bytes) !== MARK_BASE + groups.length) throw new Error('out of order');
      else {
        groups.push(group);
        group = [];
      }
    }
  }
  if (group.length > 0) throw new Error('a frame behind the last one');
  return groups;
}

async function seal(proxy: RunningProxy): Promise<number> {
  return (await proxy.execute('seal')).epoch as number;
}

type Pass = (
  lab: TapLab,
  proxy: RunningProxy,
  kinds: readonly FrameKind[],
) => Promise<TapFrame[][]>;

const throughHold: Pass = async (lab, proxy, kinds) => {
  sendKinds(lab.guest, kinds);
  const epoch = await seal(proxy);
  const early = lab.outside.receiveAll();
  if (early.length > 0) throw new Error(`${early.length} frames left before their release`);
  await proxy.execute('release', { epoch });
  return receiveKinds(lab.outside, kinds.length);
};

const throughBridge: Pass = async (lab, _proxy, kinds) => {
  sendKinds(lab.guest, kinds);
  return receiveKinds(lab.outside, kinds.length);
};

async function passAll(pass: Pass, lab: TapLab, proxy: RunningProxy): Promise<TapFrame[][]> {
  const all: TapFrame[][] = [];
  for (let at = 0; at < KINDS.length; at += KINDS_AT_ONCE) {
    all.push(...(await pass(lab, proxy, KINDS.slice(at, at + KINDS_AT_ONCE))));
  }
  return all;
}

function sameFrames(some: readonly TapFrame[], others: readonly TapFrame[]): boolean {
  const bytes = (list: readonly TapFrame[]) =>
    list.map(({ header, frame }) => Buffer.concat([header, frame]));
  return isDeepStrictEqual(bytes(some), bytes(others));
}

function namesOf(kinds: readonly FrameKind[]): string[] {
  return kinds.map(kind => kind.name);
}

const OFFLOADS: [name: string, flags: number][] = [
  ['that takes all offloads', 0x6f],
  ['that takes none', 0],
  ['that takes partial checksums alone', 1],
];

for (const [name, flags] of OFFLOADS) {
  test(`needs root: every kind of frame comes out of the hold as out of the bridge, to a device ${name}`, async t => {
    const lab = await openLab(t);
    checked(ioctl(lab.outside.tap.fd, TUNSETOFFLOAD, flags), 'TUNSETOFFLOAD');
    const proxy = await lab.startProxy('--initial', 'bypass');
    const bridged = await passAll(throughBridge, lab, proxy);
    await proxy.execute('hold');
    const held = await passAll(throughHold, lab, proxy);
    const changed = KINDS.filter((_, index) => !sameFrames(held[index]!, bridged[index]!));
    t.deepEqual(namesOf(changed), []);
    const wrong = KINDS.filter((kind, index) => {
      const wire = kind.leaves ? wireFrames(kind) : [];
      return !isDeepStrictEqual(held[index]!.flatMap(wireFrames), wire);
    });
    t.deepEqual(namesOf(wrong), []);
    t.deepEqual(lab.guest.receiveAll(), []);
    const stats = await proxy.execute('query-stats');
    t.like(stats, { framesCaptured: 2 * KINDS.length, framesSent: 2 * KINDS.length });
    t.like(stats, { sendErrors: 0, receiveErrors: 0, truncated: 0, kernelDrops: 0 });
  });
}

test('needs root: killed, it lets no kind of frame out, and the next one none of those it did not see', async t => {
  const lab = await openLab(t);
  const first = await lab.startProxy();
  sendKinds(lab.guest, KINDS);
  const epoch = await seal(first);
  await first.end('SIGKILL');
  sendKinds(lab.guest, KINDS);
  t.deepEqual(lab.outside.receiveAll(), []);

  const second = await lab.startProxy();
  t.like(await second.execute('seal', { epoch }), { frames: 0 });
  await second.execute('release', { epoch });
  lab.guest.send(numberedFrame(1));
  await second.execute('release', { epoch: await seal(second) });
  t.deepEqual((await lab.outside.receiveCount(1)).map(numberOf), [1]);
});
