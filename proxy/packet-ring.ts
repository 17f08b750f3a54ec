/**
 * The small frames of an interface, in a ring of slots that the kernel shares with us (TPACKET_V2,
 * include/uapi/linux/if_packet.h). The kernel writes a frame in the context of whoever sends it, without a system call of
 * ours, and with no timer in between. A slot is the kernel's while its status is 0; frame after frame it hands the slots
 * over in their order, and finds them free again only when we write 0. So a held frame simply keeps its slot, and what
 * finds the next slot taken is dropped and counted.
 *
 *   slot   0 status, 4 length of the frame, 8 bytes of it in the slot, 12 where its MAC header lies (u16),
 *          16 seconds, 20 nanoseconds, 24 VLAN TCI (u16), 26 VLAN protocol (u16); then head room, vnet header, frame
 */
import { NativeMemory } from './native-memory.ts';
import { PacketSocket, SOL_PACKET } from './packet-socket.ts';
import { checked, setsockopt } from './syscalls.ts';

/** include/uapi/linux/if_packet.h */
const PACKET_RX_RING = 5;
const PACKET_VERSION = 10;
const PACKET_RESERVE = 12;
const TPACKET_V2 = 1;
const TP_STATUS_USER = 1;
export const TP_STATUS_VLAN_VALID = 0x10;
export const TP_STATUS_VLAN_TPID_VALID = 0x40;
/** include/uapi/linux/if_ether.h */
export const ETH_P_8021Q = 0x8100;

/**
 * Room for a frame of an MTU of 1500 bytes with two tags, its vnet header, and 96 bytes that the kernel and the head room
 * take. A multiple of 128, and no power of two: slots of those would share few sets of the processor's caches.
 */
const SLOT_BYTES = 1664;
/** The longest frame, without its outer tag, that lies whole in a slot. */
export const SLOT_FRAME_BYTES = 1560;
const BLOCK_BYTES = 256 << 10;
const SLOTS_PER_BLOCK = Math.floor(BLOCK_BYTES / SLOT_BYTES);
/** Before the vnet header, for a VLAN tag to be put back. */
const HEAD_ROOM_BYTES = 16;

export class PacketRing extends PacketSocket {
  readonly slots: number;
  /** The ring. Offsets of frames count from its start. */
  readonly memory: NativeMemory;

  /**
   * Allocates the ring; no frame arrives before `enter` and `accept`.
   * @param ringBytes The ring's memory, 256 KiB or more: 157 slots for each 256 KiB.
   * @throws CurlingError CURLING_NOT_ROOT, CURLING_DATAPATH.
   */
  constructor(interfaceIndex: number, ringBytes: number) {
    super(interfaceIndex, 'small', SLOT_FRAME_BYTES);
    const blocks = Math.max(1, Math.floor(ringBytes / BLOCK_BYTES));
    this.slots = blocks * SLOTS_PER_BLOCK;
    this.setNumber(SOL_PACKET, PACKET_VERSION, TPACKET_V2, 'PACKET_VERSION');
    this.setNumber(SOL_PACKET, PACKET_RESERVE, HEAD_ROOM_BYTES, 'PACKET_RESERVE');
    this.#allocate(blocks);
    this.memory = new NativeMemory(blocks * BLOCK_BYTES, this.fd);
  }

  /** Where slot number `slot` begins. */
  offsetOf(slot: number): number {
    const block = Math.floor(slot / SLOTS_PER_BLOCK);
    return block * BLOCK_BYTES + (slot - block * SLOTS_PER_BLOCK) * SLOT_BYTES;
  }

  /** Whether a frame lies in the slot at `offset`. */
  filled(offset: number): boolean {
    return (Atomics.load(this.memory.u32, offset >>> 2) & TP_STATUS_USER) !== 0;
  }

  /** Gives the slot at `offset` back to the kernel. */
  giveBack(offset: number): void {
    Atomics.store(this.memory.u32, offset >>> 2, 0);
  }

  /** Bytes of the frame, without vnet header and without a tag that the kernel took out. */
  length(offset: number): number {
    return this.memory.u32[(offset + 4) >>> 2]!;
  }

  /** Where the frame's MAC header lies in the ring; its vnet header is right before. */
  frameOf(offset: number): number {
    return offset + this.memory.u16[(offset + 12) >>> 1]!;
  }

  /** When the kernel received the frame: seconds. */
  seconds(offset: number): number {
    return this.memory.u32[(offset + 16) >>> 2]!;
  }

  /** When the kernel received the frame: nanoseconds of that second. */
  nanoseconds(offset: number): number {
    return this.memory.u32[(offset + 20) >>> 2]!;
  }

  /** Whether the kernel took a VLAN tag out of the frame. A tag of all zeros is one too. */
  tagged(offset: number): boolean {
    return (this.memory.u32[offset >>> 2]! & TP_STATUS_VLAN_VALID) !== 0;
  }

  /** The control information of that tag. */
  tagControl(offset: number): number {
    return this.memory.u16[(offset + 24) >>> 1]!;
  }

  /** The protocol of that tag. */
  tagProtocol(offset: number): number {
    const valid = (this.memory.u32[offset >>> 2]! & TP_STATUS_VLAN_TPID_VALID) !== 0;
    return valid ? this.memory.u16[(offset + 26) >>> 1]! : ETH_P_8021Q;
  }

  override close(): void {
    this.memory.unmap();
    super.close();
  }

  /** struct tpacket_req: 0 block size, 4 blocks, 8 frame size, 12 frames. */
  #allocate(blocks: number): void {
    this.scratch.u32.set([BLOCK_BYTES, blocks, SLOT_BYTES, this.slots]);
    const what = `PACKET_RX_RING of ${(blocks * BLOCK_BYTES) >>> 20} MiB`;
    checked(setsockopt(this.fd, SOL_PACKET, PACKET_RX_RING, this.scratch.address, 16), what);
  }
}
