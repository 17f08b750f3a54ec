import test, { type ExecutionContext } from 'ava';
import { ETHER_TYPE, readVnetHeader, vlanTag, vnetHeader } from './frame-builders.ts';
import { type RunningProxy, TapEnd, TapLab } from './lab.ts';
import { addEnds, transfer } from './stream.ts';

async function wholeStream(
  t: ExecutionContext,
  proxy: RunningProxy,
  ends: readonly [string, string],
  address: string,
): Promise<void> {
  const { sent, received, expected } = await transfer(proxy, ends, address);
  t.is(sent, expected);
  t.is(received, expected);
  const stats = await proxy.execute('query-stats');
  t.true((stats.framesLarge as number) > 0);
  t.like(stats, { sendErrors: 0, receiveErrors: 0, kernelDrops: 0, truncated: 0 });
}

for (const [name, address] of [
  ['IPv4', '10.99.0.2'],
  ['IPv6', 'fd00:99::2'],
] as const) {
  test(`needs root: a TCP stream with segmentation offload passes the hold whole, on a veth, over ${name}`, async t => {
    const lab = await TapLab.create(t);
    const ends = await addEnds(t, lab, (end, index) =>
      lab.ip([
        `link add port${index} type veth peer name eth0 netns ${end}`,
        `link set port${index} addrgenmode none master br0 up`,
      ]),
    );
    const proxy = await lab.spawnProxy('--tap', 'port0', '--buffer-mib', '64').connect();
    await wholeStream(t, proxy, ends, address);
  });
}

const TAGS: [name: string, tags: Buffer][] = [
  ['a VLAN tag', vlanTag(ETHER_TYPE.vlan, 0x2005)],
  [
    'two VLAN tags',
    Buffer.concat([vlanTag(ETHER_TYPE.providerVlan, 7), vlanTag(ETHER_TYPE.vlan, 9)]),
  ],
];

/** Hands frames from one tap to another and puts tags into them, as a guest's VLAN interface does. */
function putTags(from: TapEnd, to: TapEnd, tags: Buffer): void {
  for (let bytes = from.receive(); bytes; bytes = from.receive()) {
    const fields = readVnetHeader(bytes);
    if (fields.flags & 1) fields.checksumStart += tags.length;
    if (fields.headerBytes > 0) fields.headerBytes += tags.length;
    to.send(Buffer.concat([bytes.subarray(10, 22), tags, bytes.subarray(22)]), vnetHeader(fields));
  }
}

/** Hands frames from one tap to another and takes their tags away; others are left out. */
function takeTags(from: TapEnd, to: TapEnd, tags: Buffer): void {
  for (let bytes = from.receive(); bytes; bytes = from.receive()) {
    if (!bytes.subarray(22, 22 + tags.length).equals(tags)) continue;
    const fields = readVnetHeader(bytes);
    if (fields.flags & 1) fields.checksumStart -= tags.length;
    fields.headerBytes = 0;
    const frame = Buffer.concat([bytes.subarray(10, 22), bytes.subarray(22 + tags.length)]);
    to.send(frame, vnetHeader(fields));
  }
}

for (const [name, tags] of TAGS) {
  test(`needs root: a TCP stream with segmentation offload behind ${name} passes the hold whole`, async t => {
    const lab = await TapLab.create(t);
    const inner: TapEnd[] = [];
    const ends = await addEnds(t, lab, async end => {
      const tap = new TapEnd(end, 'eth0');
      inner.push(tap);
      t.teardown(() => tap.close());
    });
    const [guest, outside] = inner as [TapEnd, TapEnd];
    const proxy = await lab.startProxy('--buffer-mib', '64');
    let over = false;
    const shuttle = () => {
      putTags(guest, lab.guest, tags);
      takeTags(lab.guest, guest, tags);
      putTags(outside, lab.outside, tags);
      takeTags(lab.outside, outside, tags);
      if (!over) setImmediate(shuttle);
    };
    shuttle();
    try {
      await wholeStream(t, proxy, ends, 'fd00:99::2');
    } finally {
      over = true;
    }
    t.true(((await proxy.execute('query-stats')).framesTagged as number) > 0);
  });
}
