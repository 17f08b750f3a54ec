import test from 'ava';
import { checked, ioctl } from '../../proxy/syscalls.ts';
import { VNET_HEADER_BYTES } from '../../proxy/vlan-tag.ts';
import {
  GUEST_MAC,
  numberedFrame,
  numberOf,
  OUTSIDE_MAC,
  type RunningProxy,
  TapLab,
} from './lab.ts';

const TUNSETOFFLOAD = 0x400454d0;
const ETHERNET_BYTES = 14;
const IP_BYTES = 20;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const UNTAGGED: Buffer = Buffer.alloc(0);

interface Offload {
  /** VIRTIO_NET_HDR_GSO_*, 0 for none. */
  type?: number;
  segmentBytes?: number;
  headerBytes?: number;
  checksumStart: number;
  checksumOffset: number;
}

/** struct virtio_net_hdr with NEEDS_CSUM. */
function vnetHeader(offload: Offload): Buffer {
  const header = Buffer.alloc(VNET_HEADER_BYTES);
  header.writeUInt8(1, 0);
  header.writeUInt8(offload.type ?? 0, 1);
  header.writeUInt16LE(offload.headerBytes ?? 0, 2);
  header.writeUInt16LE(offload.segmentBytes ?? 0, 4);
  header.writeUInt16LE(offload.checksumStart, 6);
  header.writeUInt16LE(offload.checksumOffset, 8);
  return header;
}

/** The ones' complement sum of RFC 1071, not inverted. */
function onesSum(bytes: Buffer, start = 0): number {
  let sum = start;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += bytes[at]! * 256 + (bytes[at + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

/** The sum over the pseudo header of an IPv4 packet. */
function pseudoSum(ip: Buffer): number {
  const tail = Buffer.from([0, ip[9]!, (ip.length - IP_BYTES) >>> 8, ip.length - IP_BYTES]);
  return onesSum(Buffer.concat([ip.subarray(12, 20), tail]));
}

/** An IPv4 frame whose transport checksum holds the sum of the pseudo header only, as a guest with offloads sends it. */
function partialFrame(protocol: number, payloadBytes: number, tags: Uint8Array): Buffer {
  const transportBytes = protocol === PROTOCOL_TCP ? 20 : 8;
  const ip = Buffer.alloc(IP_BYTES + transportBytes + payloadBytes);
  for (let at = IP_BYTES + transportBytes; at < ip.length; at++) ip[at] = at * 31;
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(ip.length, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(protocol, 9);
  ip.set([10, 9, 0, 1, 10, 9, 0, 2], 12);
  ip.writeUInt16BE(~onesSum(ip.subarray(0, IP_BYTES)) & 0xffff, 10);
  ip.writeUInt16BE(5000, IP_BYTES);
  ip.writeUInt16BE(6000, IP_BYTES + 2);
  if (protocol === PROTOCOL_TCP) {
    ip.writeUInt8(0x50, IP_BYTES + 12);
    ip.writeUInt8(0x10, IP_BYTES + 13);
    ip.writeUInt16BE(pseudoSum(ip), IP_BYTES + 16);
  } else {
    ip.writeUInt16BE(ip.length - IP_BYTES, IP_BYTES + 4);
    ip.writeUInt16BE(pseudoSum(ip), IP_BYTES + 6);
  }
  const type = Buffer.from([8, 0]);
  return Buffer.concat([OUTSIDE_MAC, GUEST_MAC, tags, type, ip]);
}

async function sealAndRelease(proxy: RunningProxy): Promise<void> {
  const { epoch } = await proxy.execute('seal');
  await proxy.execute('release', { epoch });
}

function tag(protocol: number, control: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(protocol, 0);
  bytes.writeUInt16BE(control, 2);
  return bytes;
}

test('needs root: VLAN tags come out as they went in, also empty, provider and double ones', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  const tags = [
    tag(0x8100, 0x6005),
    tag(0x8100, 0),
    tag(0x88a8, 0x0064),
    Buffer.concat([tag(0x88a8, 0x0064), tag(0x8100, 0x0007)]),
  ];
  const frames = [60, 1514, 2022].flatMap((length, row) =>
    tags.map((bytes, column) => {
      const frame = numberedFrame(row * tags.length + column, length);
      return Buffer.concat([frame.subarray(0, 12), bytes, frame.subarray(12)]);
    }),
  );
  await lab.ip(['link set up0 mtu 9000', 'link set tap0 mtu 9000', 'link set cp-tap0 mtu 9000']);
  for (const frame of frames) lab.guest.send(frame);
  await sealAndRelease(proxy);
  const left = await lab.outside.receiveCount(frames.length);
  t.deepEqual(
    left.map(frame => frame.subarray(VNET_HEADER_BYTES)),
    frames,
  );
  t.is((await proxy.execute('query-stats')).framesTagged, frames.length);
});

test('needs root: a partial checksum outlives the hold, with and without a tag', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  // The kernel completes the checksum on the way to a device that cannot: what comes out shows what went in.
  checked(ioctl(lab.outside.tap.fd, TUNSETOFFLOAD, 0), 'TUNSETOFFLOAD');
  const tags = [UNTAGGED, tag(0x8100, 0x0005)];
  for (const bytes of tags) {
    const checksumStart = ETHERNET_BYTES + bytes.length + IP_BYTES;
    const header = vnetHeader({ checksumStart, checksumOffset: 6 });
    lab.guest.send(partialFrame(PROTOCOL_UDP, 700, bytes), header);
  }
  await sealAndRelease(proxy);
  const frames = await lab.outside.receiveCount(2);
  for (const [index, frame] of frames.entries()) {
    const before = VNET_HEADER_BYTES + ETHERNET_BYTES + tags[index]!.length;
    const ip = frame.subarray(before);
    const expected = partialFrame(PROTOCOL_UDP, 700, tags[index]!);
    t.is(ip.length + before, expected.length + VNET_HEADER_BYTES);
    t.is(onesSum(ip.subarray(IP_BYTES), onesSum(pseudoHeader(ip))), 0xffff);
    t.deepEqual(ip.subarray(28), expected.subarray(before - VNET_HEADER_BYTES + 28));
  }
});

function pseudoHeader(ip: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(ip.length - IP_BYTES);
  return Buffer.concat([ip.subarray(12, 20), Buffer.from([0, ip[9]!]), length]);
}

test('needs root: a frame of many segments stays one, with and without a tag', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy();
  const tags = [UNTAGGED, tag(0x8100, 0x0005)];
  const sent = tags.map(bytes => {
    const checksumStart = ETHERNET_BYTES + bytes.length + IP_BYTES;
    const headerBytes = checksumStart + 20;
    const offload = { type: 1, segmentBytes: 1448, headerBytes, checksumStart, checksumOffset: 16 };
    return [vnetHeader(offload), partialFrame(PROTOCOL_TCP, 65_000, bytes)] as const;
  });
  for (const [header, frame] of sent) lab.guest.send(frame, header);
  await sealAndRelease(proxy);
  const left = await lab.outside.receiveCount(2);
  for (const [index, [header, frame]] of sent.entries()) {
    // The length of the headers is a hint; a tap says there how much of a frame happens to be linear.
    left[index]!.fill(0, 2, 4);
    header.fill(0, 2, 4);
    t.deepEqual(left[index]!.subarray(0, VNET_HEADER_BYTES), header);
    t.true(left[index]!.subarray(VNET_HEADER_BYTES).equals(frame));
  }
  t.is((await proxy.execute('query-stats')).framesLarge, 2);
});

test('needs root: the room for large frames is given back', async t => {
  const lab = await TapLab.create(t);
  const proxy = await lab.startProxy('--buffer-mib', '4');
  const checksumStart = ETHERNET_BYTES + IP_BYTES;
  const offload = {
    type: 1,
    segmentBytes: 1448,
    headerBytes: 54,
    checksumStart,
    checksumOffset: 16,
  };
  const frame = partialFrame(PROTOCOL_TCP, 60_000, UNTAGGED);
  const seen: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (let number = 0; number < 4; number++) {
      lab.guest.send(frame, vnetHeader(offload));
      lab.guest.send(numberedFrame(round * 4 + number));
    }
    if (round % 2 === 1) await proxy.execute('discard');
    else {
      await sealAndRelease(proxy);
      const frames = await lab.outside.receiveCount(8);
      seen.push(...frames.filter(one => one.length < 1000).map(numberOf));
      t.is(frames.filter(one => one.equals(Buffer.concat([vnetHeader(offload), frame]))).length, 4);
    }
  }
  t.deepEqual(
    seen,
    Array.from({ length: 80 }, (_, number) => number).filter(number => number % 8 < 4),
  );
  t.is((await proxy.execute('query-stats')).bufferFullEpisodes, 0);
});
