/**
 * Records what leaves through one tap: a pcapng block for each frame, laid into the ring from which the main thread writes
 * the file. It never waits: a frame that finds no room is counted, and the next one that finds some says how many are
 * missing before it.
 */
import type { SystemClock } from './moment.ts';
import {
  commentWords,
  PACKET_BYTES_AT,
  PACKET_CHECKSUM_NOT_READY,
  PACKET_OUTBOUND,
  PACKET_SEGMENTED_LATER,
  type Packet,
  packetBlockBytes,
  putPacket,
} from './pcapng.ts';
import type { RecordRing } from './record-ring.ts';
import { addressOf, memcpy } from './syscalls.ts';
import { VNET_HEADER_BYTES } from './vlan-tag.ts';

/** struct virtio_net_hdr: 0 flags, 1 kind of segmentation offload, 0 for none. */
const NEEDS_CHECKSUM = 1;

export class FrameRecord {
  readonly #ring: RecordRing;
  readonly #ringAddress: number;
  readonly #clock: SystemClock;
  readonly #snapBytes: number;
  readonly #packet: Packet;
  #epoch = -1;
  #ended = false;

  /** @param interfaceId The number of the tap, from 0, as it is described in the file. */
  constructor(ring: RecordRing, interfaceId: number, snapBytes: number, clock: SystemClock) {
    this.#ring = ring;
    this.#ringAddress = addressOf(ring.bytes);
    this.#clock = clock;
    this.#snapBytes = snapBytes;
    this.#packet = {
      interfaceId,
      seconds: 0,
      nanoseconds: 0,
      capturedBytes: 0,
      frameBytes: 0,
      flags: 0,
      missing: 0,
      comment: commentWords(''),
    };
  }

  /** Before a batch of frames, all of this epoch. */
  begin(epoch: number): void {
    this.#ended = this.#ring.ended;
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#packet.comment = commentWords(`epoch ${epoch}`);
  }

  /** After a batch: shows it to the main thread. */
  publish(): void {
    this.#ring.publish();
  }

  /** Records the frame that has just left: `length` bytes at `address`, vnet header first. */
  add(address: number, length: number): void {
    const packet = this.#packet;
    const ring = this.#ring;
    ring.sent[packet.interfaceId]!++;
    if (this.#ended) return;
    packet.frameBytes = length - VNET_HEADER_BYTES;
    packet.capturedBytes = Math.min(packet.frameBytes, this.#snapBytes);
    const at = ring.take(packetBlockBytes(packet));
    if (at < 0) {
      ring.missed[packet.interfaceId]!++;
      packet.missing++;
      return;
    }
    // One copy for both: the vnet header comes to lie where the head of the block will be written over it.
    const start = at + PACKET_BYTES_AT - VNET_HEADER_BYTES;
    memcpy(this.#ringAddress + start, address, VNET_HEADER_BYTES + packet.capturedBytes);
    packet.flags = packetFlags(ring.bytes[start]!, ring.bytes[start + 1]!);
    const { seconds, nanoseconds } = this.#clock.now();
    packet.seconds = seconds;
    packet.nanoseconds = nanoseconds;
    putPacket(ring.words, ring.bytes, at, packet);
    packet.missing = 0;
  }
}

/** What the first bytes of a vnet header say, as epb_flags. */
function packetFlags(flags: number, segmentation: number): number {
  const checksum = flags & NEEDS_CHECKSUM ? PACKET_CHECKSUM_NOT_READY : 0;
  return PACKET_OUTBOUND | checksum | (segmentation !== 0 ? PACKET_SEGMENTED_LATER : 0);
}
