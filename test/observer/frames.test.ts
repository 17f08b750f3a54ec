import test from 'ava';
import { parseEthernet, parseIpv4, parseTcp, parseUdp } from '../../lab/observer/frames.ts';
import { CLIENT_IP, ethernet, GUEST_IP, GUEST_MAC, ipv4, tcp, udp } from './frame-builder.ts';

const PAYLOAD = Buffer.from('payload');

test('sees Ethernet, with and without a VLAN tag', t => {
  const plain = parseEthernet(ethernet(GUEST_MAC, 0x0806, PAYLOAD));
  t.like(plain, { source: GUEST_MAC, etherType: 0x0806, vlan: undefined, payload: PAYLOAD });
  const tagged = parseEthernet(ethernet(GUEST_MAC, 0x0800, PAYLOAD, 0x6005));
  t.like(tagged, { etherType: 0x0800, vlan: 5, payload: PAYLOAD });
});

test('sees IPv4 without the padding of short frames', t => {
  const packet = ipv4(GUEST_IP, CLIENT_IP, 17, PAYLOAD);
  const padded = Buffer.concat([packet, Buffer.alloc(20)]);
  const expected = { source: GUEST_IP, destination: CLIENT_IP, protocol: 17, payload: PAYLOAD };
  t.deepEqual(parseIpv4(padded), expected);
  packet.writeUInt16BE(0x4000, 6);
  t.deepEqual(parseIpv4(packet), expected, 'do not fragment');
  for (const fragment of [0x2000, 1]) {
    packet.writeUInt16BE(fragment, 6);
    t.is(parseIpv4(packet), undefined);
  }
});

test('sees IPv4 and TCP options', t => {
  const packet = ipv4(GUEST_IP, CLIENT_IP, 6, Buffer.concat([Buffer.alloc(4), PAYLOAD]));
  packet[0] = 0x46;
  t.deepEqual(parseIpv4(packet)?.payload, PAYLOAD);
  const segment = tcp(1, 2, { sequence: 3, payload: Buffer.concat([Buffer.alloc(4), PAYLOAD]) });
  segment[12] = 6 << 4;
  t.deepEqual(parseTcp(segment)?.payload, PAYLOAD);
});

test('sees UDP and TCP fields', t => {
  t.deepEqual(parseUdp(Buffer.concat([udp(1, 2, PAYLOAD), Buffer.alloc(3)])), {
    sourcePort: 1,
    destinationPort: 2,
    payload: PAYLOAD,
  });
  const segment = { sequence: 0xfffffff0, acknowledgement: 9, flags: 'SA', payload: PAYLOAD };
  t.deepEqual(parseTcp(tcp(7, 50_000, segment)), {
    sourcePort: 7,
    destinationPort: 50_000,
    sequence: 0xfffffff0,
    acknowledgement: 9,
    fin: false,
    syn: true,
    rst: false,
    ack: true,
    payload: PAYLOAD,
  });
});

test('everything cut short is no view, never an exception', t => {
  const whole = ethernet(GUEST_MAC, 0x0800, ipv4(GUEST_IP, CLIENT_IP, 17, udp(1, 2, PAYLOAD)), 5);
  for (let length = 0; length < whole.length; length++) {
    const packet = parseEthernet(whole.subarray(0, length));
    t.is(packet && parseIpv4(packet.payload), undefined);
  }
  const segment = tcp(1, 2, { sequence: 1 });
  for (let length = 0; length < 20; length++) {
    t.is(parseTcp(segment.subarray(0, length)), undefined);
    t.is(parseUdp(udp(1, 2, Buffer.alloc(12)).subarray(0, length)), undefined);
  }
  segment[12] = 4 << 4;
  t.is(parseTcp(segment), undefined);
});
