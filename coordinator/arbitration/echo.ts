/**
 * ICMP echo requests and replies as bytes, for IPv4 (RFC 792) and IPv6 (RFC 4443). Pure.
 *
 * A request has identifier, sequence number and a payload of 16 random bytes; all three must come
 * back. A raw socket receives every ICMP packet of its host, with the IP header in front for IPv4 and
 * without for IPv6; whatever is not an answer of this form is not for us.
 */
export const PAYLOAD_BYTES = 16;

const HEADER_BYTES = 8;
const TYPES = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;

export type Family = 4 | 6;

export interface Echo {
  /** 16 bits each. */
  readonly identifier: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

/** The bytes of a request. For IPv6 the kernel writes the checksum over them. */
export function encodeRequest(family: Family, echo: Echo): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + PAYLOAD_BYTES);
  bytes.writeUInt8(TYPES[family].request, 0);
  bytes.writeUInt16BE(echo.identifier, 4);
  bytes.writeUInt16BE(echo.sequence, 6);
  echo.payload.copy(bytes, HEADER_BYTES, 0, PAYLOAD_BYTES);
  if (family === 4) bytes.writeUInt16BE(checksum(bytes), 2);
  return bytes;
}

/** The reply in what a raw socket has received, or undefined when it is anything else. */
export function decodeReply(family: Family, packet: Buffer): Echo | undefined {
  const at = family === 4 ? ipv4HeaderBytes(packet) : 0;
  if (at === undefined || packet.length !== at + HEADER_BYTES + PAYLOAD_BYTES) return undefined;
  const bytes = packet.subarray(at);
  if (bytes[0] !== TYPES[family].reply || bytes[1] !== 0) return undefined;
  if (family === 4 && checksum(bytes) !== 0) return undefined;
  return {
    identifier: bytes.readUInt16BE(4),
    sequence: bytes.readUInt16BE(6),
    payload: Buffer.from(bytes.subarray(HEADER_BYTES)),
  };
}

function ipv4HeaderBytes(packet: Buffer): number | undefined {
  const first = packet[0];
  if (first === undefined || first >> 4 !== 4) return undefined;
  const length = (first & 15) * 4;
  return length >= 20 ? length : undefined;
}

/** The internet checksum (RFC 1071); 0 over bytes that contain a right one. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}
