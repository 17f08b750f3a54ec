import test from 'ava';
import {
  address4,
  ETHER_TYPE,
  ethernet,
  ipv4,
  onesSum,
  PROTOCOL,
  payload,
  plain,
  received,
  udp,
} from './frame-builders.ts';
import {
  numberedFrame,
  OUTSIDE_MAC,
  type RunningProxy,
  type TapEnd,
  TapLab,
  until,
} from './lab.ts';

async function sealAndRelease(proxy: RunningProxy): Promise<void> {
  const { epoch } = await proxy.execute('seal');
  await proxy.execute('release', { epoch: epoch as number });
}

/** One frame to each of the addresses 01:80:c2:00:00:00 to 0f, which IEEE 802.1Q keeps for the link alone. */
const LINK_LOCAL: readonly Buffer[] = Array.from({ length: 16 }, (_, last) =>
  ethernet(ETHER_TYPE.local, payload(46, last), {
    destination: Buffer.from([0x01, 0x80, 0xc2, 0, 0, last]),
  }),
);

/** The last bytes of the addresses of what comes out before a frame of another kind. */
async function groupsOut(lab: TapLab): Promise<number[]> {
  const frames: Buffer[] = [];
  await until(() => {
    frames.push(...lab.outside.receiveAll());
    return frames.at(-1)?.readUInt8(10) === 2;
  }, 'the last frame');
  return frames.slice(0, -1).map(frame => frame.readUInt8(15));
}

// A bridge without spanning tree forwards 00 alone, never 01 (pause frames), and the others where a mask says so.
const MASKS: [name: string, command: string | undefined, expected: number[]][] = [
  ['without a mask', undefined, [0]],
  ['with a mask of the bridge', 'link set br0 type bridge group_fwd_mask 0x4008', [0, 3, 14]],
  ['with a mask of the port', 'link set tap0 type bridge_slave group_fwd_mask 0x4000', [0, 14]],
];

for (const [name, command, expected] of MASKS) {
  test(`needs root: link-local groups leave as over the bridge, ${name}`, async t => {
    const lab = await TapLab.create(t);
    if (command) await lab.ip([command]);
    const proxy = await lab.startProxy('--initial', 'bypass');
    const send = () => {
      for (const frame of [...LINK_LOCAL, numberedFrame(1)]) lab.guest.send(frame);
    };
    send();
    t.deepEqual(await groupsOut(lab), expected);
    await proxy.execute('hold');
    send();
    t.like(await proxy.execute('seal', { epoch: 1 }), { frames: LINK_LOCAL.length + 1 });
    t.deepEqual(lab.outside.receiveAll(), []);
    await proxy.execute('release', { epoch: 1 });
    t.deepEqual(await groupsOut(lab), expected);
    t.deepEqual(lab.guest.receiveAll(), []);
    send();
    await proxy.end('SIGKILL');
    send();
    t.deepEqual(lab.outside.receiveAll(), []);
  });
}

const GROUP = '239.9.8.7';
const GROUP_MAC = Buffer.from('01005e090807', 'hex');
const ALL_HOSTS_MAC = Buffer.from('01005e000001', 'hex');

/** An IGMPv2 message, RFC 2236, answered within a tenth of a second. */
function igmp(type: number, group: string, destination: Buffer, source?: Buffer): Buffer {
  const message = Buffer.concat([Buffer.from([type, 1, 0, 0]), address4(group)]);
  message.writeUInt16BE(~onesSum(message) & 0xffff, 2);
  const fields = { destination: group === '0.0.0.0' ? '224.0.0.1' : group };
  const packet = ipv4(PROTOCOL.igmp, message, {
    ...fields,
    options: Buffer.from('94040000', 'hex'),
  });
  return ethernet(ETHER_TYPE.ipv4, packet, source ? { destination, source } : { destination });
}

const QUERY = igmp(0x11, '0.0.0.0', ALL_HOSTS_MAC, OUTSIDE_MAC);
const REPORT = igmp(0x16, GROUP, GROUP_MAC);
const TO_GROUP = ethernet(
  ETHER_TYPE.ipv4,
  udp(4, payload(100), 'whole', { source: '10.9.0.2', destination: GROUP }).bytes,
  { destination: GROUP_MAC, source: OUTSIDE_MAC },
);

/** Waits until the bridge sends to the members of the group alone: `stranger` gets nothing of it any more. */
async function untilSnooping(lab: TapLab, stranger: TapEnd): Promise<void> {
  await until(() => {
    lab.outside.send(TO_GROUP);
    return stranger.receiveAll().length === 0;
  }, 'the bridge to snoop');
  lab.guest.receiveAll();
}

for (const state of ['bypass', 'hold']) {
  test(`needs root: a guest that joined a group hears it, in ${state}`, async t => {
    const lab = await TapLab.create(t);
    const stranger = await lab.addTap('else0');
    const proxy = await lab.startProxy('--initial', state);
    lab.outside.send(QUERY);
    lab.guest.send(REPORT);
    if (state === 'hold') await sealAndRelease(proxy);
    await until(() => lab.outside.receiveAll().length > 0, 'the report');
    await untilSnooping(lab, stranger);
    lab.outside.send(TO_GROUP);
    t.deepEqual(lab.guest.receiveAll().map(received), [plain(TO_GROUP)]);
  });
}
