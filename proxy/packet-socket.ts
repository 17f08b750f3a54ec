/**
 * An AF_PACKET socket that sees every frame coming in from one interface, with its vnet header and its VLAN tag, and
 * none that goes out there. The bridge and the ingress filters of the interface see the frames after it.
 */
import { NativeMemory } from './native-memory.ts';
import type { ReceiveBatch } from './receive-batch.ts';
import {
  bind,
  checked,
  close,
  errno,
  getsockopt,
  recvmmsg,
  setsockopt,
  socket,
} from './syscalls.ts';

/** include/linux/socket.h, include/uapi/asm-generic/socket.h */
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;
const SO_RCVBUFFORCE = 33;
/** include/uapi/linux/if_packet.h */
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_STATISTICS = 6;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
/** include/uapi/linux/if_ether.h, in network byte order as a little-endian u16. */
const ETH_P_ALL_NETWORK = 0x0300;
/** `BPF_RET | BPF_K`, include/uapi/linux/bpf_common.h; with k = 0 it accepts nothing. */
const BPF_RETURN = 6;

/** The kernel doubles it to account for its own overhead: about 300,000 small frames, see docs of SO_RCVBUF. */
const RECEIVE_BUFFER_BYTES = 128 << 20;

export interface PacketStatistics {
  /** Frames seen, dropped ones included, since the last call. */
  packets: number;
  /** Frames that found the socket's queue full, since the last call. */
  drops: number;
}

export class PacketSocket {
  readonly fd: number;
  readonly #memory = new NativeMemory(64);

  /**
   * Frames arrive from the moment this returns.
   * @throws CurlingError CURLING_DATAPATH
   */
  constructor(interfaceIndex: number) {
    // Protocol 0 receives nothing until bind names one.
    this.fd = checked(
      socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
      'opening a packet socket',
    );
    try {
      this.#setNumber(SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES, 'SO_RCVBUFFORCE');
      this.#setNumber(SOL_PACKET, PACKET_VNET_HDR, 1, 'PACKET_VNET_HDR');
      this.#setNumber(SOL_PACKET, PACKET_AUXDATA, 1, 'PACKET_AUXDATA');
      this.#setNumber(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, 'PACKET_IGNORE_OUTGOING');
      this.#becomePromiscuous(interfaceIndex);
      this.#bind(interfaceIndex);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Receives up to `count` frames into the armed batch without waiting.
   * @returns How many, or minus the errno: EAGAIN when there is none.
   */
  receive(batch: ReceiveBatch, count: number): number {
    const received = recvmmsg(this.fd, batch.address, count, MSG_DONTWAIT, 0);
    return received < 0 ? -errno() : received;
  }

  /** From now on no further frame enters the queue; what is in it stays. */
  refuseFrames(): void {
    const { address, bytes } = this.#memory;
    bytes.fill(0);
    this.#memory.u16[0] = 1;
    this.#memory.setAddress(8, address + 16);
    this.#memory.u16[8] = BPF_RETURN;
    const result = setsockopt(this.fd, SOL_SOCKET, SO_ATTACH_FILTER, address, 16);
    checked(result, 'SO_ATTACH_FILTER');
  }

  /** Takes `refuseFrames` back. */
  acceptFrames(): void {
    this.#setNumber(SOL_SOCKET, SO_DETACH_FILTER, 0, 'SO_DETACH_FILTER');
  }

  /** Counts since the last call: reading them resets them. */
  statistics(): PacketStatistics {
    const memory = this.#memory;
    memory.u32[8] = 8;
    const { address } = memory;
    checked(
      getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, address, address + 32),
      'PACKET_STATISTICS',
    );
    return { packets: memory.u32[0]!, drops: memory.u32[1]! };
  }

  /** Closes the socket; on return no frame is on its way into it any more. */
  close(): void {
    close(this.fd);
    this.#memory.unmap();
  }

  #setNumber(level: number, option: number, value: number, what: string): void {
    this.#memory.i32[0] = value;
    checked(setsockopt(this.fd, level, option, this.#memory.address, 4), what);
  }

  /** struct packet_mreq: 0 ifindex, 4 type. */
  #becomePromiscuous(interfaceIndex: number): void {
    this.#memory.bytes.fill(0);
    this.#memory.i32[0] = interfaceIndex;
    this.#memory.u16[2] = PACKET_MR_PROMISC;
    const { address } = this.#memory;
    checked(
      setsockopt(this.fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, address, 16),
      'promiscuous mode',
    );
  }

  /** struct sockaddr_ll: 0 family, 2 protocol, 4 ifindex. */
  #bind(interfaceIndex: number): void {
    this.#memory.bytes.fill(0);
    this.#memory.u16[0] = AF_PACKET;
    this.#memory.u16[1] = ETH_P_ALL_NETWORK;
    this.#memory.i32[1] = interfaceIndex;
    checked(bind(this.fd, this.#memory.address, 20), 'binding the packet socket');
  }
}
