/** Frames as a guest and its clients would send them, and pcap files of them. */
import { encodeRecord, type GuestRecord, nextChain } from '../../lab/guest/record.ts';
import type { History } from '../../lab/observer/history.ts';
import type { CapturedFrame } from '../../lab/observer/oracle.ts';

export const GUEST_IP = '10.0.0.9';
export const GUEST_MAC = '52:54:00:00:00:09';
export const CLIENT_IP = '10.0.0.1';
const CLIENT_MAC = '52:54:00:00:00:01';

export function ethernet(
  source: string,
  etherType: number,
  payload: Buffer,
  vlan?: number,
): Buffer {
  const addresses = Buffer.from((CLIENT_MAC + source).replaceAll(':', ''), 'hex');
  const types = vlan === undefined ? [etherType] : [0x8100, vlan, etherType];
  const header = Buffer.alloc(types.length * 2);
  for (const [i, type] of types.entries()) header.writeUInt16BE(type, i * 2);
  return Buffer.concat([addresses, header, payload]);
}

export function ipv4(from: string, to: string, protocol: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header[9] = protocol;
  Buffer.from(from.split('.').map(Number)).copy(header, 12);
  Buffer.from(to.split('.').map(Number)).copy(header, 16);
  return Buffer.concat([header, payload]);
}

export function udp(sourcePort: number, destinationPort: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

export interface Segment {
  sequence: number;
  acknowledgement?: number;
  /** Of F, S, R, A. */
  flags?: string;
  payload?: Buffer;
}

export function tcp(sourcePort: number, destinationPort: number, segment: Segment): Buffer {
  const header = Buffer.alloc(20);
  const flags = segment.flags ?? 'A';
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  header.writeUInt32BE(segment.sequence >>> 0, 4);
  header.writeUInt32BE((segment.acknowledgement ?? 0) >>> 0, 8);
  header[12] = 5 << 4;
  for (const [flag, bit] of [
    ['F', 1],
    ['S', 2],
    ['R', 4],
    ['A', 16],
  ] as const)
    if (flags.includes(flag)) header[13]! |= bit;
  return Buffer.concat([header, segment.payload ?? Buffer.alloc(0)]);
}

/** A record as the guest sends it. */
export function recordFrame(record: GuestRecord, port: string, atMs: number): CapturedFrame {
  const packet = ipv4(GUEST_IP, CLIENT_IP, 17, udp(40_000, 5000, encodeRecord(record)));
  return { port, atMs, bytes: ethernet(GUEST_MAC, 0x0800, packet) };
}

/** A segment of the guest's server port 7 to a client's port 50,000. */
export function guestSegment(segment: Segment, port: string, atMs: number): CapturedFrame {
  const packet = ipv4(GUEST_IP, CLIENT_IP, 6, tcp(7, 50_000, segment));
  return { port, atMs, bytes: ethernet(GUEST_MAC, 0x0800, packet) };
}

/** A segment of the client's port 50,000 to the guest's port 7. */
export function clientSegment(segment: Segment, port: string, atMs: number): CapturedFrame {
  const packet = ipv4(CLIENT_IP, GUEST_IP, 6, tcp(50_000, 7, segment));
  return { port, atMs, bytes: ethernet(CLIENT_MAC, 0x0800, packet) };
}

export const RUN = '00112233445566aa';

/** An execution: nonces from a function, chained from `run`. */
export function execution(
  count: number,
  nonceOf: (sequence: number) => string,
  run = RUN,
): { records: GuestRecord[]; history: History } {
  const records: GuestRecord[] = [];
  let chain = run;
  for (let sequence = 1; sequence <= count; sequence++) {
    const nonce = nonceOf(sequence);
    chain = nextChain(chain, sequence, nonce);
    records.push({ run, sequence, nonce, chain });
  }
  const nonces = Buffer.from(records.map(record => record.nonce).join(''), 'hex');
  return { records, history: { run, first: 1, count, last: count, chain: run, nonces } };
}

/** Nonces of one execution: `salt` makes them those of another. */
export function nonceOf(salt: number): (sequence: number) => string {
  return sequence => {
    const nonce = Buffer.alloc(16, salt);
    nonce.writeUInt32BE(sequence, 0);
    return nonce.toString('hex');
  };
}

export interface PcapOptions {
  little?: boolean;
  nano?: boolean;
  linkType?: number;
}

/** A pcap file with whole frames. */
export function pcapFile(
  frames: readonly { atMs: number; bytes: Buffer }[],
  { little = true, nano = true, linkType = 1 }: PcapOptions = {},
): Buffer {
  const u32 = (...values: number[]) => {
    const bytes = Buffer.alloc(values.length * 4);
    for (const [i, value] of values.entries()) {
      if (little) bytes.writeUInt32LE(value, i * 4);
      else bytes.writeUInt32BE(value, i * 4);
    }
    return bytes;
  };
  const parts: Buffer[] = [
    u32(nano ? 0xa1b23c4d : 0xa1b2c3d4, little ? 0x00040002 : 0x00020004, 0, 0),
  ];
  parts.push(u32(262_144, linkType));
  for (const { atMs, bytes } of frames) {
    const seconds = Math.floor(atMs / 1000);
    const fraction = Math.round((atMs - seconds * 1000) * (nano ? 1e6 : 1e3));
    parts.push(u32(seconds, fraction, bytes.length, bytes.length), bytes);
  }
  return Buffer.concat(parts);
}
