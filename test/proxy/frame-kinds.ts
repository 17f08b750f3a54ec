/** The kinds of frames that a guest may send, one row each: what the tests send, and what must come of it. */
import {
  arp,
  BROADCAST_MAC,
  type Checksum,
  ETHER_TYPE,
  ethernet,
  type Family,
  GSO,
  GUEST_MAC,
  icmp6,
  ipv4,
  PROTOCOL,
  payload,
  plain,
  readVnetHeader,
  type TapFrame,
  tcp,
  toTap,
  udp,
  vlanTag,
} from './frame-builders.ts';

export interface FrameKind extends TapFrame {
  name: string;
  /** Whether the bridge lets it out at all. */
  leaves: boolean;
}

/** The MTU that the kinds need. */
export const KINDS_MTU = 9000;

const MDNS_MAC = Buffer.from('01005e0000fb', 'hex');
const NEIGHBOUR_MAC = Buffer.from('3333ff000002', 'hex');
const ALL_NODES_MAC = Buffer.from('333300000001', 'hex');
const STRANGER_MAC = Buffer.from('020000c100ee', 'hex');

const { vlan, providerVlan, oldProviderVlan } = ETHER_TYPE;

/** The tags that frames of every offload come with. */
const TAGS: [name: string, tags: Buffer[]][] = [
  ['untagged', []],
  ['802.1Q', [vlanTag(vlan, 0x0005)]],
  ['802.1Q of priority 7, drop-eligible, VLAN 4095', [vlanTag(vlan, 0xffff)]],
  ['a priority tag', [vlanTag(vlan, 0xa000)]],
  ['an empty tag', [vlanTag(vlan, 0)]],
  ['802.1ad', [vlanTag(providerVlan, 0x0064)]],
  ['an empty 802.1ad tag', [vlanTag(providerVlan, 0)]],
  ['QinQ', [vlanTag(providerVlan, 0x0064), vlanTag(vlan, 0x0007)]],
  ['QinQ of 802.1Q alone', [vlanTag(vlan, 0x0064), vlanTag(vlan, 0x0007)]],
  ['QinQ of empty tags', [vlanTag(providerVlan, 0), vlanTag(vlan, 0)]],
  ['three tags', [vlanTag(providerVlan, 1), vlanTag(vlan, 2), vlanTag(vlan, 3)]],
  ['the old provider tag', [vlanTag(oldProviderVlan, 9)]],
];

type Tagged = (tags: Buffer[]) => TapFrame;

function datagram(family: Family, bytes: number, checksum: Checksum): Tagged {
  return tags => toTap(udp(family, payload(bytes), checksum), { tags });
}

function segments(family: Family, bytes: number, gsoType: number, flags = 0x10): Tagged {
  return tags => {
    const gso = { gsoType, segmentBytes: 1400 };
    return toTap(tcp(family, payload(bytes), 'partial', flags), { tags }, gso);
  };
}

function datagrams(family: Family, bytes: number): Tagged {
  const gso = { gsoType: GSO.udp, segmentBytes: 1200 };
  return tags => toTap(udp(family, payload(bytes), 'partial'), { tags }, gso);
}

const CWR_ACK = 0x90;
const FIN_PSH_ACK = 0x19;

/** What is sent with each of `TAGS`. */
const CONTENTS: [name: string, frame: Tagged][] = [
  ['60 bytes', tags => plain(ethernet(ETHER_TYPE.local, payload(46), { tags }))],
  ['a length for a type', tags => plain(ethernet(46, payload(46), { tags }))],
  ['UDP', datagram(4, 700, 'whole')],
  ['UDP, partial checksum', datagram(4, 700, 'partial')],
  ['UDP of odd length over IPv6, partial checksum', datagram(6, 701, 'partial')],
  ['TCP, partial checksum', tags => toTap(tcp(4, payload(900), 'partial'), { tags })],
  ['TCP over IPv6, partial checksum', tags => toTap(tcp(6, payload(0), 'partial'), { tags })],
  ['a jumbo frame', datagram(4, 8900, 'partial')],
  ['a jumbo frame over IPv6', datagram(6, 8900, 'partial')],
  ['TSO4 of 3 segments', segments(4, 3000, GSO.tcp4, FIN_PSH_ACK)],
  ['TSO4 of 64 KiB', segments(4, 65_000, GSO.tcp4)],
  ['TSO6 of 64 KiB', segments(6, 65_000, GSO.tcp6)],
  ['TSO4 with ECN', segments(4, 20_000, GSO.tcp4 | GSO.ecn, CWR_ACK)],
  ['TSO6 with ECN', segments(6, 20_000, GSO.tcp6 | GSO.ecn, CWR_ACK)],
  ['USO4', datagrams(4, 20_000)],
  ['USO6', datagrams(6, 60_000)],
];

const SOLICITATION = Buffer.from(
  `8700000000000000${'fd00000900000000000000000000000201010200'}00c10001`,
  'hex',
);
const ADVERTISEMENT = Buffer.from(
  `8800000020000000${'fd00000900000000000000000000000102010200'}00c10001`,
  'hex',
);

/** What is sent once, with another destination or content. */
const OTHERS: [name: string, frame: TapFrame, leaves?: boolean][] = [
  [
    'an ARP request',
    plain(ethernet(ETHER_TYPE.arp, arp(1, '10.9.0.1', '10.9.0.2'), { destination: BROADCAST_MAC })),
  ],
  ['an ARP reply', plain(ethernet(ETHER_TYPE.arp, arp(2, '10.9.0.1', '10.9.0.2')))],
  [
    'a gratuitous ARP',
    plain(ethernet(ETHER_TYPE.arp, arp(1, '10.9.0.1', '10.9.0.1'), { destination: BROADCAST_MAC })),
  ],
  [
    'a tagged ARP request',
    plain(
      ethernet(ETHER_TYPE.arp, arp(1, '10.9.0.1', '10.9.0.2'), {
        destination: BROADCAST_MAC,
        tags: [vlanTag(vlan, 5)],
      }),
    ),
  ],
  [
    'a RARP broadcast',
    plain(ethernet(ETHER_TYPE.rarp, arp(3, '0.0.0.0', '0.0.0.0'), { destination: BROADCAST_MAC })),
  ],
  [
    'a UDP broadcast, partial checksum',
    toTap(udp(4, payload(300), 'partial', { destination: '255.255.255.255' }), {
      destination: BROADCAST_MAC,
    }),
  ],
  [
    'IPv4 multicast',
    toTap(udp(4, payload(100), 'partial', { destination: '224.0.0.251' }), {
      destination: MDNS_MAC,
    }),
  ],
  [
    'IPv6 to all nodes',
    toTap(udp(6, payload(100), 'partial', { destination: 'ff02::1' }), {
      destination: ALL_NODES_MAC,
    }),
  ],
  [
    'a neighbour solicitation',
    plain(
      ethernet(ETHER_TYPE.ipv6, icmp6(SOLICITATION, { destination: 'ff02::1:ff00:2' }), {
        destination: NEIGHBOUR_MAC,
      }),
    ),
  ],
  ['a neighbour advertisement', plain(ethernet(ETHER_TYPE.ipv6, icmp6(ADVERTISEMENT)))],
  [
    'an echo request',
    plain(ethernet(ETHER_TYPE.ipv4, ipv4(PROTOCOL.icmp, Buffer.from('0800f7fd00010001', 'hex')))),
  ],
  [
    'a fragment',
    plain(ethernet(ETHER_TYPE.ipv4, ipv4(PROTOCOL.udp, payload(1480), { fragment: 0x20b9 }))),
  ],
  [
    'IPv4 with options',
    toTap(udp(4, payload(64), 'partial', { options: Buffer.from('94040000', 'hex') })),
  ],
  [
    'IPv6 with an extension header',
    toTap(
      udp(6, payload(64), 'partial', {
        firstOption: 60,
        options: Buffer.from('1100010400000000', 'hex'),
      }),
    ),
  ],
  [
    'a UDP checksum that is wrong',
    plain(ethernet(ETHER_TYPE.ipv4, ipv4(PROTOCOL.udp, payload(40)))),
  ],
  [
    'to nobody known',
    plain(ethernet(ETHER_TYPE.local, payload(46), { destination: STRANGER_MAC })),
  ],
  [
    'to the guest itself',
    plain(ethernet(ETHER_TYPE.local, payload(46), { destination: GUEST_MAC })),
    false,
  ],
  [
    'EAPOL to the link-local group',
    plain(ethernet(0x888e, payload(46), { destination: Buffer.from('0180c2000003', 'hex') })),
    false,
  ],
  ['MPLS', plain(ethernet(0x8847, payload(46)))],
  ['PPPoE', plain(ethernet(0x8864, payload(1494)))],
  ['a jumbo frame of an unknown type', plain(ethernet(ETHER_TYPE.local, payload(9000)))],
];

/** The kernel cuts no frame into segments behind a tag that it does not know; so the bridge drops those. */
function bridgeTakes({ header, frame }: TapFrame): boolean {
  const { gsoType } = readVnetHeader(header);
  return gsoType === GSO.none || frame.readUInt16BE(12) !== oldProviderVlan;
}

function tagged(content: string, frame: Tagged): FrameKind[] {
  return TAGS.map(([tag, tags]) => {
    const one = frame(tags);
    return { name: `${content}, ${tag}`, leaves: bridgeTakes(one), ...one };
  });
}

/** All kinds. */
export const KINDS: readonly FrameKind[] = [
  ...CONTENTS.flatMap(([content, frame]) => tagged(content, frame)),
  ...OTHERS.map(([name, frame, leaves = true]) => ({ name, leaves, ...frame })),
];
