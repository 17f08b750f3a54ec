/**
 * Typed views of captured frames: Ethernet (IEEE 802.3, 802.1Q), IPv4 (RFC 791), UDP (RFC 768),
 * TCP (RFC 9293).
 */

export const ETHER_TYPE = {
  ipv4: 0x0800,
  arp: 0x0806,
  vlan: 0x8100,
  rarp: 0x8035,
  qinq: 0x88a8,
} as const;
export const IP_PROTOCOL = { tcp: 6, udp: 17 } as const;

export interface EthernetFrame {
  /** `aa:bb:cc:dd:ee:ff` */
  destination: string;
  source: string;
  /** Of the payload, behind all VLAN tags. */
  etherType: number;
  /** The outermost tag's VLAN, or undefined without a tag. */
  vlan: number | undefined;
  payload: Buffer;
}

export interface Ipv4Packet {
  source: string;
  destination: string;
  protocol: number;
  /** Without Ethernet's padding. */
  payload: Buffer;
}

export interface UdpDatagram {
  sourcePort: number;
  destinationPort: number;
  payload: Buffer;
}

export interface TcpSegment {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgement: number;
  fin: boolean;
  syn: boolean;
  rst: boolean;
  ack: boolean;
  payload: Buffer;
}

const TAGS_MAX = 2;

/** The view of a frame, or undefined when it is too short. */
export function parseEthernet(bytes: Buffer): EthernetFrame | undefined {
  let at = 12;
  let vlan: number | undefined;
  for (let tags = 0; ; tags++) {
    if (bytes.length < at + 2) return undefined;
    const etherType = bytes.readUInt16BE(at);
    const tagged = etherType === ETHER_TYPE.vlan || etherType === ETHER_TYPE.qinq;
    if (!tagged || tags === TAGS_MAX) {
      return {
        destination: macText(bytes, 0),
        source: macText(bytes, 6),
        etherType,
        vlan,
        payload: bytes.subarray(at + 2),
      };
    }
    if (bytes.length < at + 4) return undefined;
    vlan ??= bytes.readUInt16BE(at + 2) & 0xfff;
    at += 4;
  }
}

/**
 * The view of a packet; undefined when it is malformed or cut, and for all fragments but whole
 * packets.
 */
export function parseIpv4(bytes: Buffer): Ipv4Packet | undefined {
  if (bytes.length < 20 || bytes[0]! >> 4 !== 4) return undefined;
  const headerBytes = (bytes[0]! & 0xf) * 4;
  const totalBytes = bytes.readUInt16BE(2);
  const fragment = (bytes.readUInt16BE(6) & 0x3fff) !== 0;
  if (headerBytes < 20 || totalBytes < headerBytes || totalBytes > bytes.length || fragment)
    return undefined;
  return {
    source: bytes.subarray(12, 16).join('.'),
    destination: bytes.subarray(16, 20).join('.'),
    protocol: bytes[9]!,
    payload: bytes.subarray(headerBytes, totalBytes),
  };
}

/** The view of a datagram, or undefined when it is malformed or cut. */
export function parseUdp(bytes: Buffer): UdpDatagram | undefined {
  if (bytes.length < 8) return undefined;
  const length = bytes.readUInt16BE(4);
  if (length < 8 || length > bytes.length) return undefined;
  return {
    sourcePort: bytes.readUInt16BE(0),
    destinationPort: bytes.readUInt16BE(2),
    payload: bytes.subarray(8, length),
  };
}

/** The view of a segment, or undefined when it is malformed or cut. */
export function parseTcp(bytes: Buffer): TcpSegment | undefined {
  if (bytes.length < 20) return undefined;
  const headerBytes = (bytes[12]! >> 4) * 4;
  if (headerBytes < 20 || headerBytes > bytes.length) return undefined;
  const flags = bytes[13]!;
  return {
    sourcePort: bytes.readUInt16BE(0),
    destinationPort: bytes.readUInt16BE(2),
    sequence: bytes.readUInt32BE(4),
    acknowledgement: bytes.readUInt32BE(8),
    fin: (flags & 1) !== 0,
    syn: (flags & 2) !== 0,
    rst: (flags & 4) !== 0,
    ack: (flags & 16) !== 0,
    payload: bytes.subarray(headerBytes),
  };
}

function macText(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 6);
  return hex.replace(/..(?=.)/g, '$&:');
}
