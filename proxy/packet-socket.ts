/**
 * An AF_PACKET socket that sees frames coming in from one interface, and none that goes out there, with their vnet
 * headers. The bridge and the ingress filters of the interface see the frames after it. What kinds of frames it takes
 * says its filter; how they are received, those who extend it.
 */
import { loadFrameFilter } from './frame-filter.ts';
import { NativeMemory } from './native-memory.ts';
import { bind, checked, close, getsockopt, setsockopt, socket } from './syscalls.ts';

/** include/linux/socket.h, include/uapi/asm-generic/socket.h */
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
export const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_ATTACH_BPF = 50;
/** include/uapi/linux/if_packet.h */
export const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_STATISTICS = 6;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
/** include/uapi/linux/if_ether.h, in network byte order as little-endian u16. */
const ETH_P_ALL = 0x0300;
/** A pseudo-protocol of certain switch ports: no frame of an Ethernet interface is ever given it. */
const ETH_P_XDSA = 0xf800;
/** `BPF_RET | BPF_K`, include/uapi/linux/bpf_common.h; with k = 0 it accepts nothing. */
const BPF_RETURN = 6;

export class PacketSocket {
  readonly fd: number;
  protected readonly scratch = new NativeMemory(64);
  readonly #interfaceIndex: number;
  readonly #filter: number;

  /**
   * Opens the socket; no frame arrives before `enter` and `accept`.
   * @param kind,lengthMax Which frames it takes: see `loadFrameFilter`.
   * @throws CurlingError CURLING_NOT_ROOT, CURLING_DATAPATH.
   */
  constructor(interfaceIndex: number, kind: 'small' | 'other', lengthMax: number) {
    this.#interfaceIndex = interfaceIndex;
    this.#filter = loadFrameFilter(kind, lengthMax);
    // Protocol 0 receives nothing until bind names one.
    const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.fd = checked(socket(AF_PACKET, type, 0), 'opening a packet socket');
    this.setNumber(SOL_PACKET, PACKET_VNET_HDR, 1, 'PACKET_VNET_HDR');
    this.setNumber(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, 'PACKET_IGNORE_OUTGOING');
    this.#becomePromiscuous();
  }

  /**
   * Takes its place on the interface's path, with the filter of `refuse` or `accept`.
   * @throws CurlingError CURLING_DATAPATH
   */
  enter(): void {
    this.#bind(ETH_P_ALL);
  }

  /** Leaves the interface's path. Takes 8 to 30 ms, and on return no frame is on its way to the socket any more. */
  leave(): void {
    this.#bind(ETH_P_XDSA);
  }

  /** From now on frames of its kind arrive. */
  accept(): void {
    this.setNumber(SOL_SOCKET, SO_ATTACH_BPF, this.#filter, 'SO_ATTACH_BPF');
  }

  /** From now on no further frame arrives, but for those that the kernel is handling; what is there stays. */
  refuse(): void {
    const { address, bytes } = this.scratch;
    bytes.fill(0);
    this.scratch.u16[0] = 1;
    this.scratch.setAddress(8, address + 16);
    this.scratch.u16[8] = BPF_RETURN;
    const result = setsockopt(this.fd, SOL_SOCKET, SO_ATTACH_FILTER, address, 16);
    checked(result, 'SO_ATTACH_FILTER');
  }

  /** How many frames found no room since the last call. */
  takeDrops(): number {
    const memory = this.scratch;
    memory.u32[8] = 8;
    const { address } = memory;
    const result = getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, address, address + 32);
    checked(result, 'PACKET_STATISTICS');
    return memory.u32[1]!;
  }

  /** Closes the socket; on return no frame is on its way to it any more. */
  close(): void {
    close(this.fd);
    close(this.#filter);
    this.scratch.unmap();
  }

  protected setNumber(level: number, option: number, value: number, what: string): void {
    this.scratch.i32[0] = value;
    checked(setsockopt(this.fd, level, option, this.scratch.address, 4), what);
  }

  /** struct packet_mreq: 0 ifindex, 4 type. */
  #becomePromiscuous(): void {
    this.scratch.bytes.fill(0);
    this.scratch.i32[0] = this.#interfaceIndex;
    this.scratch.u16[2] = PACKET_MR_PROMISC;
    const { address } = this.scratch;
    const result = setsockopt(this.fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, address, 16);
    checked(result, 'promiscuous mode');
  }

  /** struct sockaddr_ll: 0 family, 2 protocol, 4 ifindex. */
  #bind(protocol: number): void {
    this.scratch.bytes.fill(0);
    this.scratch.u16[0] = AF_PACKET;
    this.scratch.u16[1] = protocol;
    this.scratch.i32[1] = this.#interfaceIndex;
    checked(bind(this.fd, this.scratch.address, 20), 'binding the packet socket');
  }
}
