import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
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
  vlanTag,
  wireFrames,
} from './frame-builders.ts';
import { numberedFrame, numberOf, type RunningProxy, TapLab } from './lab.ts';

/** The largest that a tap takes. */
const TAP_MTU_MAX = 65_521;
const TAG = vlanTag(ETHER_TYPE.vlan, 0x0005);
const PROVIDER_TAG = vlanTag(ETHER_TYPE.providerVlan, 0x0007);

async function openLab(...args: Parameters<typeof TapLab.create>): Promise<TapLab> {
  const lab = await TapLab.create(...args);
  await lab.ip(['br0', 'tap0', 'up0'].map(name => `link set ${name} mtu ${TAP_MTU_MAX}`));
  await lab.ip(['link set up0 txqueuelen 50000']);
  return lab;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** A frame of `length` bytes, tags included. */
function frameOf(length: number, tags: Buffer[] = []): TapFrame {
  const bytes = length - 14 - 4 * tags.length;
  return plain(ethernet(ETHER_TYPE.local, payload(bytes, length), { tags }));
}

/** A frame of many segments, `length` bytes long. */
function largeOf(length: number, tags: Buffer[] = []): TapFrame {
  const content = payload(length - 54 - 4 * tags.length, length);
  return toTap(tcp(4, content, 'partial'), { tags }, { gsoType: GSO.tcp4, segmentBytes: 9000 });
}

async function throughHold(
  lab: TapLab,
  proxy: RunningProxy,
  frames: readonly TapFrame[],
): Promise<TapFrame[]> {
  for (const { header, frame } of frames) lab.guest.send(frame, header);
  lab.guest.send(numberedFrame(1, 61));
  const { epoch } = await proxy.execute('seal');
  if (lab.outside.receiveAll().length > 0) throw new Error('a frame left before its release');
  await proxy.execute('release', { epoch: epoch as number });
  const all: Buffer[] = [];
  while (all.at(-1)?.length !== 71 || numberOf(all.at(-1)!) !== 1) {
    all.push(...(await lab.outside.receiveCount(1)));
  }
  return all.slice(0, -1).map(received);
}

/** Sizes on both sides of every border that a datapath may have: of slots, of pages, of the kernel's own copies. */
const SIZES: readonly number[] = [
  ...range(20, 70),
  ...range(1500, 1530),
  ...range(1990, 2060),
  ...[4096, 8192, 16_384, 32_768].flatMap(size => range(size - 24, size + 4)),
  ...range(TAP_MTU_MAX + 10, TAP_MTU_MAX + 14),
];

for (const [name, tags] of [
  ['without a tag', []],
  ['with a tag', [TAG]],
  ['with two tags', [PROVIDER_TAG, TAG]],
] as const) {
  test(`needs root: a frame of any size comes out whole, ${name}`, async t => {
    const lab = await openLab(t);
    const proxy = await lab.startProxy('--buffer-mib', '64');
    // Behind a tag the kernel wants six bytes.
    const smallest = tags.length === 0 ? range(14, 19) : [];
    const sizes = [...smallest, ...SIZES].filter(size => size >= 14 + 6 * tags.length);
    const frames = sizes.map(size => frameOf(size, [...tags]));
    const left = await throughHold(lab, proxy, frames);
    t.is(left.length, frames.length);
    t.deepEqual(
      sizes.filter((_, index) => !isDeepStrictEqual(left[index], frames[index])),
      [],
    );
    t.like(await proxy.execute('query-stats'), { truncated: 0, receiveErrors: 0, sendErrors: 0 });
  });
}

test('needs root: frames of many segments come out whole up to the largest that IP has', async t => {
  const lab = await openLab(t);
  const proxy = await lab.startProxy('--buffer-mib', '64');
  const sizes = [10_000, ...range(32_760, 32_770), ...range(65_500, 65_549)];
  const frames = sizes.flatMap(size => [largeOf(size), largeOf(size, [TAG])]);
  const left = await throughHold(lab, proxy, frames);
  // A device takes less than 64 KiB at once; the kernel cuts what is longer.
  const wire = left.flatMap(wireFrames);
  const expected = frames.flatMap(wireFrames);
  t.is(wire.length, expected.length);
  t.true(isDeepStrictEqual(wire, expected));
  t.like(await proxy.execute('query-stats'), { truncated: 0, receiveErrors: 0, sendErrors: 0 });
});

test('needs root: a frame too large for the buffers is counted, and nothing of it leaves', async t => {
  const lab = await openLab(t);
  const proxy = await lab.startProxy('--buffer-mib', '64');
  const sizes = [80_000, 131_072, ...range(262_130, 262_150), 300_000];
  const frames = sizes.map(size => largeOf(size));
  const left = await throughHold(
    lab,
    proxy,
    frames.flatMap(one => [one, frameOf(100)]),
  );
  const stats = await proxy.execute('query-stats');
  const whole = frames.map(wireFrames);
  const wire = left.flatMap(wireFrames);
  const lost = stats.truncated as number;
  t.true(lost > 0);
  const expected = whole.slice(0, whole.length - lost).flatMap(one => [...one, frameOf(100).frame]);
  for (let count = 0; count < lost; count++) expected.push(frameOf(100).frame);
  t.is(wire.length, expected.length);
  t.true(isDeepStrictEqual(wire, expected));
});

test('needs root: a frame too short for the kernel harms nobody', async t => {
  const lab = await openLab(t);
  const proxy = await lab.startProxy();
  for (const size of range(0, 13)) {
    t.throws(() => lab.guest.send(payload(size)), { code: 'EINVAL' });
  }
  // Tags without what belongs behind them.
  const cut = range(14, 19).map(size => plain(frameOf(24, [TAG]).frame.subarray(0, size)));
  t.deepEqual(await throughHold(lab, proxy, cut), []);
  t.is((await proxy.execute('query-stats')).framesCaptured, 1);
});
