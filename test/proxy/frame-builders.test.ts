import test from 'ava';
import fc from 'fast-check';
import {
  address6,
  arp,
  type Checksum,
  ETHER_TYPE,
  ethernet,
  type Family,
  GSO,
  icmp6,
  ipv4,
  onesSum,
  type Packet,
  PROTOCOL,
  payload,
  plain,
  pseudoSum,
  readVnetHeader,
  tcp,
  toTap,
  udp,
  vlanTag,
  vnetHeader,
  wireFrames,
} from './frame-builders.ts';

const VALID = 0xffff;

/** The sum over the transport part of an untagged or tagged frame with its pseudo header; VALID when it is right. */
function transportSum(frame: Buffer, ipStart: number): number {
  const ip = frame.subarray(ipStart);
  const isV4 = ip[0]! >>> 4 === 4;
  const start = isV4 ? (ip[0]! & 15) * 4 : 40;
  const transport = ip.subarray(start);
  return onesSum(transport, pseudoSum(ip, ip[isV4 ? 9 : 6]!, transport.length));
}

test('the sum is that of the example in RFC 1071', t => {
  t.is(onesSum(Buffer.from('0001f203f4f5f6f7', 'hex')), 0xddf2);
  t.is(onesSum(Buffer.from('ff', 'hex')), 0xff00);
});

test('headers are those that other programs write', t => {
  t.is(onesSum(ipv4(PROTOCOL.icmp, payload(9)).subarray(0, 20)), VALID);
  // The header of the usual worked example: 4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7.
  const known = Buffer.from('450000730000400040110000c0a80001c0a800c7', 'hex');
  t.is(~onesSum(known) & 0xffff, 0xb861);
  t.is(address6('fd00:9::1').toString('hex'), 'fd000009000000000000000000000001');
  t.is(address6('::').toString('hex'), '0'.repeat(32));
  t.is(arp(1, '10.0.0.1', '10.0.0.2').length, 46);
  t.is(vlanTag(ETHER_TYPE.providerVlan, 0x6005).toString('hex'), '88a86005');
});

test('a vnet header is read as it was written', t => {
  const number = fc.integer({ min: 0, max: 0xffff });
  const byte = fc.integer({ min: 0, max: 255 });
  const fields = fc.record({
    flags: byte,
    gsoType: byte,
    headerBytes: number,
    segmentBytes: number,
    checksumStart: number,
    checksumOffset: number,
  });
  fc.assert(fc.property(fields, one => t.deepEqual(readVnetHeader(vnetHeader(one)), one)));
});

const packets = fc.record({
  family: fc.constantFrom(4 as const, 6 as const),
  isTcp: fc.boolean(),
  bytes: fc.integer({ min: 0, max: 4000 }),
  seed: fc.integer({ min: 0, max: 255 }),
});
type Chosen = { family: Family; isTcp: boolean; bytes: number; seed: number };

function make({ family, isTcp, bytes, seed }: Chosen, checksum: Checksum): Packet {
  return (isTcp ? tcp : udp)(family, payload(bytes, seed), checksum);
}

test('whole checksums are right, and partial ones become the same on the wire, tagged or not', t => {
  fc.assert(
    fc.property(packets, fc.boolean(), (chosen, tagged) => {
      const tags = tagged ? [vlanTag(ETHER_TYPE.vlan, 5), vlanTag(ETHER_TYPE.vlan, 0)] : [];
      const whole = toTap(make(chosen, 'whole'), { tags });
      t.is(transportSum(whole.frame, 14 + 4 * tags.length), VALID);
      t.deepEqual(wireFrames(toTap(make(chosen, 'partial'), { tags })), [whole.frame]);
      t.deepEqual(wireFrames(whole), [whole.frame]);
    }),
  );
});

test('the segments of a frame carry its payload, each a whole packet', t => {
  const size = fc.integer({ min: 1, max: 1448 });
  fc.assert(
    fc.property(packets, size, (chosen, segmentBytes) => {
      const { family, isTcp, bytes, seed } = chosen;
      const gsoType = isTcp ? (family === 4 ? GSO.tcp4 : GSO.tcp6) : GSO.udp;
      const tags = [vlanTag(ETHER_TYPE.vlan, 5)];
      const sent = toTap(make(chosen, 'partial'), { tags }, { gsoType, segmentBytes });
      const frames = wireFrames(sent);
      t.is(frames.length, Math.ceil(bytes / segmentBytes));
      const start = readVnetHeader(sent.header).headerBytes;
      t.deepEqual(Buffer.concat(frames.map(one => one.subarray(start))), payload(bytes, seed));
      for (const [index, one] of frames.entries()) {
        t.is(transportSum(one, 18), VALID);
        if (family === 4) t.is(onesSum(one.subarray(18, 38)), VALID);
        const ipBytes = family === 4 ? one.readUInt16BE(20) : one.readUInt16BE(22) + 40;
        t.is(ipBytes, one.length - 18);
        const sequence = (0xfffffff0 + index * segmentBytes) >>> 0;
        if (isTcp) t.is(one.readUInt32BE(start - 16), sequence);
        else t.is(one.readUInt16BE(start - 4), one.length - start + 8);
      }
    }),
    { numRuns: 60 },
  );
});

test('CWR is on the first segment alone, FIN and PSH on the last', t => {
  const packet = tcp(4, payload(3000), 'partial', 0x99);
  const sent = toTap(packet, {}, { gsoType: GSO.tcp4 | GSO.ecn, segmentBytes: 1000 });
  t.deepEqual(
    wireFrames(sent).map(one => one[47]),
    [0x90, 0x10, 0x19],
  );
});

test('an ICMPv6 message and a plain frame are what they say', t => {
  const message = icmp6(Buffer.from('8000000012340001', 'hex'));
  t.is(transportSum(message, 0), VALID);
  t.is(ethernet(ETHER_TYPE.local, Buffer.alloc(0)).length, 14);
  t.deepEqual(wireFrames(plain(message)), [message]);
});
