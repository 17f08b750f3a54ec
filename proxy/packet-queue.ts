/**
 * The frames of an interface that no slot of the ring can take: long ones, and those with segmentation offload. They
 * wait in the socket's queue and are received one by one; beside the time of copying 64 KiB a system call is nothing.
 * Layouts are those of 64-bit Linux, little endian:
 *
 *   struct msghdr    0 name, 8 namelen, 16 iov, 24 iovlen, 32 control, 40 controllen
 *   struct iovec     0 base, 8 length
 *   control message  0 length, 8 level, 12 type, 16 data; the next one begins at a multiple of 8
 *     PACKET_AUXDATA      16 status … 32 VLAN TCI (u16), 34 VLAN protocol (u16)   struct tpacket_auxdata
 *     SO_TIMESTAMPNS      16 seconds (i64), 24 nanoseconds (i64)                  struct timespec
 */

import { NativeMemory } from './native-memory.ts';
import {
  ETH_P_8021Q,
  SLOT_FRAME_BYTES,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
} from './packet-ring.ts';
import { PacketSocket, SOL_PACKET, SOL_SOCKET } from './packet-socket.ts';
import { checked, errno, ioctl, recvmsg } from './syscalls.ts';
import { VNET_HEADER_BYTES } from './vlan-tag.ts';

/** include/linux/socket.h, include/uapi/asm-generic/socket.h */
const MSG_DONTWAIT = 0x40;
const SO_RCVBUFFORCE = 33;
const SO_TIMESTAMPNS = 35;
/** include/uapi/linux/sockios.h; packet_ioctl() answers with the length of the next frame. */
const SIOCINQ = 0x541b;
/** include/uapi/linux/if_packet.h */
const PACKET_AUXDATA = 8;

const PIECE_AT = 56;
const CONTROL_AT = 72;
const CONTROL_BYTES = 128;

export class PacketQueue extends PacketSocket {
  /** When the kernel received the last frame that was received: seconds, and nanoseconds of that second. */
  seconds = 0;
  nanoseconds = 0;
  /** Whether the kernel took a VLAN tag out of the frame. A tag of all zeros is one too. */
  tagged = false;
  tagControl = 0;
  tagProtocol = ETH_P_8021Q;
  readonly #message = new NativeMemory(CONTROL_AT + CONTROL_BYTES);

  /**
   * @param queueBytes What frames may occupy in the kernel, as it counts: their memory and 300 to 800 bytes for each.
   * @throws CurlingError CURLING_NOT_ROOT, CURLING_DATAPATH.
   */
  constructor(interfaceIndex: number, queueBytes: number) {
    super(interfaceIndex, 'other', SLOT_FRAME_BYTES);
    // The kernel doubles what it is told.
    this.setNumber(SOL_SOCKET, SO_RCVBUFFORCE, queueBytes / 2, 'SO_RCVBUFFORCE');
    this.setNumber(SOL_SOCKET, SO_TIMESTAMPNS, 1, 'SO_TIMESTAMPNS');
    this.setNumber(SOL_PACKET, PACKET_AUXDATA, 1, 'PACKET_AUXDATA');
    const memory = this.#message;
    memory.setAddress(16, memory.address + PIECE_AT);
    memory.setAddress(24, 1);
    memory.setAddress(32, memory.address + CONTROL_AT);
  }

  /** Bytes of the next frame, without vnet header and without a tag that the kernel took out; 0 when there is none. */
  nextLength(): number {
    checked(ioctl(this.fd, SIOCINQ, this.scratch.address), 'SIOCINQ');
    return this.scratch.i32[0]!;
  }

  /** Takes the next frame out of the queue and forgets it. */
  drop(): void {
    this.receive(this.scratch.address, VNET_HEADER_BYTES);
  }

  /**
   * Receives the next frame, vnet header first, without waiting.
   * @returns Its bytes, or minus the errno: EAGAIN when there is none, EINVAL when the kernel threw one away whose
   *   offload it cannot describe.
   */
  receive(address: number, length: number): number {
    const memory = this.#message;
    memory.setAddress(40, CONTROL_BYTES);
    memory.setAddress(PIECE_AT, address);
    memory.setAddress(PIECE_AT + 8, length);
    const received = recvmsg(this.fd, memory.address, MSG_DONTWAIT);
    if (received < 0) return -errno();
    this.#readControl();
    return received;
  }

  override close(): void {
    super.close();
    this.#message.unmap();
  }

  #readControl(): void {
    const { u32, u16 } = this.#message;
    const end = CONTROL_AT + u32[40 >>> 2]!;
    this.tagged = false;
    for (let at = CONTROL_AT; at + 16 <= end; ) {
      const length = u32[at >>> 2]!;
      const level = u32[(at + 8) >>> 2];
      const type = u32[(at + 12) >>> 2];
      if (level === SOL_SOCKET && type === SO_TIMESTAMPNS) {
        this.seconds = u32[(at + 16) >>> 2]!;
        this.nanoseconds = u32[(at + 24) >>> 2]!;
      } else if (level === SOL_PACKET && type === PACKET_AUXDATA) {
        const status = u32[(at + 16) >>> 2]!;
        this.tagged = (status & TP_STATUS_VLAN_VALID) !== 0;
        this.tagControl = u16[(at + 32) >>> 1]!;
        const protocol = u16[(at + 34) >>> 1]!;
        this.tagProtocol = (status & TP_STATUS_VLAN_TPID_VALID) !== 0 ? protocol : ETH_P_8021Q;
      }
      at += Math.max(16, (length + 7) & ~7);
    }
  }
}
