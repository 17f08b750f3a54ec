/**
 * Frames as guests send them, with vnet headers as a virtio driver fills them, and what such a pair means on a wire. All
 * of it is pure, so that what comes out of a proxy can be compared with what went in, byte for byte.
 */
import { VNET_HEADER_BYTES } from '../../proxy/vlan-tag.ts';

/** The addresses that the tests use: locally administered, the guest's and the one outside. */
export const GUEST_MAC: Buffer = Buffer.from('020000c10001', 'hex');
export const OUTSIDE_MAC: Buffer = Buffer.from('020000c10002', 'hex');
export const BROADCAST_MAC: Buffer = Buffer.alloc(6, 0xff);

export const ETHERNET_BYTES = 14;
const MACS_BYTES = 12;
const TAG_BYTES = 4;
const IP4_BYTES = 20;
const IP6_BYTES = 40;
const UDP_BYTES = 8;
const TCP_BYTES = 20;

/** EtherTypes: IEEE 802 numbers of IANA. */
export const ETHER_TYPE = {
  ipv4: 0x0800,
  arp: 0x0806,
  rarp: 0x8035,
  ipv6: 0x86dd,
  vlan: 0x8100,
  providerVlan: 0x88a8,
  oldProviderVlan: 0x9100,
  local: 0x88b5,
} as const;

/** IP protocols. */
export const PROTOCOL = { icmp: 1, igmp: 2, tcp: 6, udp: 17, icmp6: 58 } as const;

/** VIRTIO_NET_HDR_*, include/uapi/linux/virtio_net.h */
export const NEEDS_CHECKSUM = 1;
export const GSO = { none: 0, tcp4: 1, udpFragments: 3, tcp6: 4, udp: 5, ecn: 0x80 } as const;

export type Family = 4 | 6;
/** Whether the transport checksum is there, or only the sum of the pseudo header, for a device to complete. */
export type Checksum = 'whole' | 'partial';

/** struct virtio_net_hdr. */
export interface VnetFields {
  flags?: number;
  gsoType?: number;
  headerBytes?: number;
  segmentBytes?: number;
  checksumStart?: number;
  checksumOffset?: number;
}

/** What is written to a tap, or read from one. */
export interface TapFrame {
  header: Buffer;
  frame: Buffer;
}

export function vnetHeader(fields: VnetFields = {}): Buffer {
  const header = Buffer.alloc(VNET_HEADER_BYTES);
  header.writeUInt8(fields.flags ?? 0, 0);
  header.writeUInt8(fields.gsoType ?? 0, 1);
  header.writeUInt16LE(fields.headerBytes ?? 0, 2);
  header.writeUInt16LE(fields.segmentBytes ?? 0, 4);
  header.writeUInt16LE(fields.checksumStart ?? 0, 6);
  header.writeUInt16LE(fields.checksumOffset ?? 0, 8);
  return header;
}

export function readVnetHeader(header: Buffer): Required<VnetFields> {
  return {
    flags: header.readUInt8(0),
    gsoType: header.readUInt8(1),
    headerBytes: header.readUInt16LE(2),
    segmentBytes: header.readUInt16LE(4),
    checksumStart: header.readUInt16LE(6),
    checksumOffset: header.readUInt16LE(8),
  };
}

/** The ones' complement sum of RFC 1071, not inverted. */
export function onesSum(bytes: Buffer, start = 0): number {
  let sum = start;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += bytes[at]! * 256 + (bytes[at + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

/** The sum over the pseudo header of RFC 768, RFC 9293 and RFC 8200. */
export function pseudoSum(ip: Buffer, protocol: number, transportBytes: number): number {
  const addresses = ip[0]! >>> 4 === 4 ? ip.subarray(12, 20) : ip.subarray(8, 40);
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(transportBytes, 0);
  tail.writeUInt32BE(protocol, 4);
  return onesSum(tail, onesSum(addresses));
}

/** Bytes that differ from frame to frame and within one. */
export function payload(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = at * 31 + (at >>> 8) + seed;
  return bytes;
}

/** A VLAN tag: its protocol, then priority, drop-eligible bit and VLAN number. */
export function vlanTag(protocol: number, control: number): Buffer {
  const bytes = Buffer.alloc(TAG_BYTES);
  bytes.writeUInt16BE(protocol, 0);
  bytes.writeUInt16BE(control, 2);
  return bytes;
}

export interface EthernetFields {
  destination?: Buffer;
  source?: Buffer;
  tags?: readonly Buffer[];
}

/** An Ethernet frame. `type` below 1536 is a length, as IEEE 802.3 had it. */
export function ethernet(type: number, content: Buffer, fields: EthernetFields = {}): Buffer {
  const typeBytes = Buffer.alloc(2);
  typeBytes.writeUInt16BE(type);
  const { destination = OUTSIDE_MAC, source = GUEST_MAC, tags = [] } = fields;
  return Buffer.concat([destination, source, ...tags, typeBytes, content]);
}

/** An ARP (or, with another operation, RARP) message for IPv4 over Ethernet, RFC 826. */
export function arp(operation: number, sender: string, target: string): Buffer {
  const bytes = Buffer.from('0001080006040000', 'hex');
  bytes.writeUInt16BE(operation, 6);
  const ends = [GUEST_MAC, address4(sender), Buffer.alloc(6), address4(target)];
  return Buffer.concat([bytes, ...ends, Buffer.alloc(18)]);
}

export function address4(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

/** An IPv6 address written in full or with one `::`. */
export function address6(text: string): Buffer {
  const [left = '', right] = text.split('::');
  const words = (part: string | undefined) => (part ? part.split(':') : []);
  const head = words(left);
  const tail = words(right);
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  const all = [...head, ...zeros, ...tail].map(word => word.padStart(4, '0'));
  return Buffer.from(all.join(''), 'hex');
}

export interface IpFields {
  source?: string;
  destination?: string;
  /** IPv4 options or IPv6 extension headers, whole. */
  options?: Buffer;
  /** IPv6: the protocol of the first extension header. */
  firstOption?: number;
  /** IPv4: flags and fragment offset. */
  fragment?: number;
}

/** An IPv4 header with its checksum, and `content` behind it. A length beyond the field is 0, as in BIG TCP. */
export function ipv4(protocol: number, content: Buffer, fields: IpFields = {}): Buffer {
  const options = fields.options ?? Buffer.alloc(0);
  const header = Buffer.concat([Buffer.alloc(IP4_BYTES), options]);
  header.writeUInt8(0x40 | (header.length / 4), 0);
  const length = header.length + content.length;
  header.writeUInt16BE(length > 0xffff ? 0 : length, 2);
  header.writeUInt16BE(0xfffe, 4);
  header.writeUInt16BE(fields.fragment ?? 0, 6);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  header.set(address4(fields.source ?? '10.9.0.1'), 12);
  header.set(address4(fields.destination ?? '10.9.0.2'), 16);
  header.writeUInt16BE(~onesSum(header) & 0xffff, 10);
  return Buffer.concat([header, content]);
}

/** An IPv6 header, its extension headers, and `content` behind them. */
export function ipv6(protocol: number, content: Buffer, fields: IpFields = {}): Buffer {
  const options = fields.options ?? Buffer.alloc(0);
  const header = Buffer.alloc(IP6_BYTES);
  header.writeUInt32BE(0x60012345, 0);
  header.writeUInt16BE(options.length + content.length, 4);
  header.writeUInt8(fields.firstOption ?? protocol, 6);
  header.writeUInt8(64, 7);
  header.set(address6(fields.source ?? 'fd00:9::1'), 8);
  header.set(address6(fields.destination ?? 'fd00:9::2'), 24);
  return Buffer.concat([header, options, content]);
}

/** A packet whose transport checksum has been filled in, and where its parts are. */
export interface Packet {
  family: Family;
  bytes: Buffer;
  transportStart: number;
  /** From `transportStart`. */
  checksumOffset: number;
  payloadStart: number;
  checksum: Checksum;
}

function finish(
  family: Family,
  protocol: number,
  transport: Buffer,
  part: { headerBytes: number; checksumOffset: number; checksum: Checksum },
  fields: IpFields,
): Packet {
  const bytes = (family === 4 ? ipv4 : ipv6)(protocol, transport, fields);
  const transportStart = bytes.length - transport.length;
  const inner = bytes.subarray(transportStart);
  const sum = pseudoSum(bytes, protocol, transport.length);
  const whole = ~onesSum(inner, sum) & 0xffff || 0xffff;
  inner.writeUInt16BE(part.checksum === 'partial' ? sum : whole, part.checksumOffset);
  const payloadStart = transportStart + part.headerBytes;
  const { checksumOffset, checksum } = part;
  return { family, bytes, transportStart, checksumOffset, payloadStart, checksum };
}

export function udp(
  family: Family,
  content: Buffer,
  checksum: Checksum = 'whole',
  fields: IpFields = {},
): Packet {
  const header = Buffer.alloc(UDP_BYTES);
  header.writeUInt16BE(5000, 0);
  header.writeUInt16BE(6000, 2);
  header.writeUInt16BE(UDP_BYTES + content.length, 4);
  const part = { headerBytes: UDP_BYTES, checksumOffset: 6, checksum };
  return finish(family, PROTOCOL.udp, Buffer.concat([header, content]), part, fields);
}

/** @param flags Bits of the TCP header, ACK alone by default. */
export function tcp(
  family: Family,
  content: Buffer,
  checksum: Checksum = 'whole',
  flags = 0x10,
): Packet {
  const header = Buffer.alloc(TCP_BYTES);
  header.writeUInt16BE(5000, 0);
  header.writeUInt16BE(6000, 2);
  header.writeUInt32BE(0xfffffff0, 4); // the sequence number wraps within the segments
  header.writeUInt8(0x50, 12);
  header.writeUInt8(flags, 13);
  header.writeUInt16BE(500, 14);
  const part = { headerBytes: TCP_BYTES, checksumOffset: 16, checksum };
  return finish(family, PROTOCOL.tcp, Buffer.concat([header, content]), part, {});
}

export function icmp6(content: Buffer, fields: IpFields = {}): Buffer {
  const part = { headerBytes: 0, checksumOffset: 2, checksum: 'whole' as const };
  return finish(6, PROTOCOL.icmp6, content, part, fields).bytes;
}

/** How a guest hands a packet to its tap. `segmentBytes` makes it a frame of many segments, of kind `gsoType`. */
export function toTap(
  packet: Packet,
  fields: EthernetFields = {},
  gso: { gsoType?: number; segmentBytes?: number } = {},
): TapFrame {
  const type = packet.family === 4 ? ETHER_TYPE.ipv4 : ETHER_TYPE.ipv6;
  const frame = ethernet(type, packet.bytes, fields);
  const ipStart = frame.length - packet.bytes.length;
  if (packet.checksum === 'whole') return { header: vnetHeader(gso), frame };
  const header = vnetHeader({
    ...gso,
    flags: NEEDS_CHECKSUM,
    headerBytes: gso.gsoType ? ipStart + packet.payloadStart : 0,
    checksumStart: ipStart + packet.transportStart,
    checksumOffset: packet.checksumOffset,
  });
  return { header, frame };
}

/** A frame whose vnet header asks for nothing. */
export function plain(frame: Buffer): TapFrame {
  return { header: vnetHeader(), frame };
}

/** Where what the tags of a frame enclose begins, its EtherType included. */
function typeStart(frame: Buffer): number {
  let at = MACS_BYTES;
  const tags: number[] = [ETHER_TYPE.vlan, ETHER_TYPE.providerVlan, ETHER_TYPE.oldProviderVlan];
  while (tags.includes(frame.readUInt16BE(at))) at += TAG_BYTES;
  return at;
}

/**
 * What a frame with this vnet header looks like on a wire: cut into its segments, all checksums there. This is what a
 * network card would do, written from the RFCs.
 */
export function wireFrames({ header, frame }: TapFrame): Buffer[] {
  const fields = readVnetHeader(header);
  if ((fields.flags & NEEDS_CHECKSUM) === 0) return [frame];
  const ipStart = typeStart(frame) + 2;
  const { checksumStart } = fields;
  if (fields.gsoType === GSO.none) return [withChecksum(frame, fields)];
  const isTcp = fields.checksumOffset === 16;
  const headers = isTcp ? (frame[checksumStart + 12]! >>> 4) * 4 : UDP_BYTES;
  const payloadStart = checksumStart + headers;
  const segments: Buffer[] = [];
  for (let at = payloadStart; at < frame.length; at += fields.segmentBytes) {
    const end = Math.min(at + fields.segmentBytes, frame.length);
    const one = Buffer.concat([frame.subarray(0, payloadStart), frame.subarray(at, end)]);
    const position = { first: at === payloadStart, last: end === frame.length };
    if (isTcp) becomeTcpSegment(one, checksumStart, at - payloadStart, position);
    else one.writeUInt16BE(one.length - checksumStart, checksumStart + 4);
    becomePacket(one, ipStart, segments.length);
    const sum = pseudoSum(
      one.subarray(ipStart),
      isTcp ? PROTOCOL.tcp : PROTOCOL.udp,
      one.length - checksumStart,
    );
    one.writeUInt16BE(sum, checksumStart + fields.checksumOffset);
    segments.push(withChecksum(one, fields));
  }
  return segments;
}

function becomeTcpSegment(
  frame: Buffer,
  start: number,
  offset: number,
  { first, last }: { first: boolean; last: boolean },
): void {
  frame.writeUInt32BE((frame.readUInt32BE(start + 4) + offset) >>> 0, start + 4);
  if (!first) frame[start + 13]! &= ~0x80; // CWR is said once
  if (!last) frame[start + 13]! &= ~0x09; // FIN and PSH belong to the end
}

/** Gives the IP header the length of its segment, and in IPv4 its own number. */
function becomePacket(frame: Buffer, ipStart: number, index: number): void {
  const ip = frame.subarray(ipStart);
  if (ip[0]! >>> 4 === 6) {
    ip.writeUInt16BE(ip.length - IP6_BYTES, 4);
    return;
  }
  const header = ip.subarray(0, (ip[0]! & 15) * 4);
  header.writeUInt16BE(ip.length, 2);
  header.writeUInt16BE((header.readUInt16BE(4) + index) & 0xffff, 4);
  header.writeUInt16BE(0, 10);
  header.writeUInt16BE(~onesSum(header) & 0xffff, 10);
}

/** Completes the checksum: the field holds the sum of the pseudo header. */
function withChecksum(frame: Buffer, fields: Required<VnetFields>): Buffer {
  const whole = Buffer.from(frame);
  const sum = ~onesSum(whole.subarray(fields.checksumStart)) & 0xffff;
  whole.writeUInt16BE(sum || 0xffff, fields.checksumStart + fields.checksumOffset);
  return whole;
}

/** Splits what `TapEnd.receive` returns. */
export function received(bytes: Buffer): TapFrame {
  return { header: bytes.subarray(0, VNET_HEADER_BYTES), frame: bytes.subarray(VNET_HEADER_BYTES) };
}
