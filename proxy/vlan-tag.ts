/**
 * Puts a VLAN tag back into a frame. The kernel takes the outer 802.1Q or 802.1ad tag out of a captured frame and hands
 * it over apart (PACKET_AUXDATA); what the guest sent had it after the two MAC addresses:
 *
 *   before     [head room 4][vnet header 10][MACs 12][type …
 *   after  [vnet header 10][MACs 12][tag 4][type …
 *
 * so 22 bytes move and the frame begins 4 bytes earlier.
 */

/** sizeof(struct virtio_net_hdr), include/uapi/linux/virtio_net.h */
export const VNET_HEADER_BYTES = 10;
export const VLAN_TAG_BYTES = 4;

const MACS_BYTES = 12;
const MOVED_BYTES = VNET_HEADER_BYTES + MACS_BYTES;

/** Fields of struct virtio_net_hdr, little endian. */
const FLAGS_AT = 0;
const HEADER_LENGTH_AT = 2;
const CHECKSUM_START_AT = 6;
const NEEDS_CHECKSUM = 1;

/**
 * Reinserts a tag into the frame whose vnet header begins at `start`, at least 4.
 * @param protocol The tag's protocol, 0x8100 or 0x88a8.
 * @param control Priority, drop-eligible bit and VLAN number.
 * @returns Where the vnet header begins now, `start` - 4.
 */
export function reinsertVlanTag(
  bytes: Uint8Array,
  start: number,
  protocol: number,
  control: number,
): number {
  const moved = start - VLAN_TAG_BYTES;
  bytes.copyWithin(moved, start, start + MOVED_BYTES);
  const tag = moved + MOVED_BYTES;
  bytes[tag] = protocol >>> 8;
  bytes[tag + 1] = protocol;
  bytes[tag + 2] = control >>> 8;
  bytes[tag + 3] = control;
  // Offsets of the vnet header count from the start of the frame, which is now 4 bytes longer before its payload.
  if (bytes[moved + FLAGS_AT]! & NEEDS_CHECKSUM) addTag(bytes, moved + CHECKSUM_START_AT);
  if (bytes[moved + HEADER_LENGTH_AT]! | bytes[moved + HEADER_LENGTH_AT + 1]!)
    addTag(bytes, moved + HEADER_LENGTH_AT);
  return moved;
}

function addTag(bytes: Uint8Array, at: number): void {
  const value = bytes[at]! + bytes[at + 1]! * 256 + VLAN_TAG_BYTES;
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}
