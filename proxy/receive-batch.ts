/**
 * The structures through which one recvmmsg(2) call receives up to 64 frames, each scattered over a slot and a large
 * buffer, with the kernel's notes on the frame beside it. Layouts are those of 64-bit Linux, little endian:
 *
 *   struct mmsghdr   0 name, 8 namelen, 16 iov, 24 iovlen, 32 control, 40 controllen, 48 flags, 56 received bytes
 *   struct iovec     0 base, 8 length
 *   control message  0 length, 8 level, 12 type, 16 struct tpacket_auxdata (include/uapi/linux/if_packet.h):
 *                    16 status, 20 length, 24 captured length, 28 mac, 30 net, 32 VLAN TCI, 34 VLAN protocol
 */
import { NativeMemory } from './native-memory.ts';

export const BATCH_FRAMES_MAX = 64;

const HEADER_BYTES = 64;
const PIECES_BYTES = 32;
const CONTROL_BYTES = 40;

const MSG_TRUNC = 0x20;
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_VLAN_TPID_VALID = 0x40;
const ETH_P_8021Q = 0x8100;

export class ReceiveBatch {
  readonly #memory = new NativeMemory(
    BATCH_FRAMES_MAX * (HEADER_BYTES + PIECES_BYTES + CONTROL_BYTES),
  );
  readonly #headers = this.#memory.allocate(BATCH_FRAMES_MAX * HEADER_BYTES);
  readonly #pieces = this.#memory.allocate(BATCH_FRAMES_MAX * PIECES_BYTES);
  readonly #controls = this.#memory.allocate(BATCH_FRAMES_MAX * CONTROL_BYTES);

  /** @param firstBytes,secondBytes The lengths of every frame's two buffers. */
  constructor(firstBytes: number, secondBytes: number) {
    const memory = this.#memory;
    for (let index = 0; index < BATCH_FRAMES_MAX; index++) {
      const header = this.#headers + index * HEADER_BYTES;
      const pieces = this.#pieces + index * PIECES_BYTES;
      memory.setAddress(header + 16, memory.address + pieces);
      memory.setAddress(header + 24, 2);
      memory.setAddress(header + 32, memory.address + this.#controls + index * CONTROL_BYTES);
      memory.setAddress(pieces + 8, firstBytes);
      memory.setAddress(pieces + 24, secondBytes);
    }
  }

  /** The address for recvmmsg(2). */
  get address(): number {
    return this.#memory.address + this.#headers;
  }

  /** Says where frame `index` goes. To be called before every reception: the kernel overwrites parts of it. */
  arm(index: number, first: number, second: number): void {
    const memory = this.#memory;
    const pieces = this.#pieces + index * PIECES_BYTES;
    memory.setAddress(pieces, first);
    memory.setAddress(pieces + 16, second);
    memory.setAddress(this.#headers + index * HEADER_BYTES + 40, CONTROL_BYTES);
    memory.u32[(this.#controls + index * CONTROL_BYTES + 16) >>> 2] = 0;
  }

  /** Bytes received for frame `index`, vnet header included. */
  length(index: number): number {
    return this.#memory.u32[(this.#headers + index * HEADER_BYTES + 56) >>> 2]!;
  }

  /** Whether frame `index` was longer than its buffers. */
  truncated(index: number): boolean {
    const flags = this.#memory.u32[(this.#headers + index * HEADER_BYTES + 48) >>> 2]!;
    return (flags & MSG_TRUNC) !== 0;
  }

  /** Whether the kernel took a VLAN tag out of frame `index`. A tag of all zeros is one too. */
  tagged(index: number): boolean {
    return (this.#status(index) & TP_STATUS_VLAN_VALID) !== 0;
  }

  /** The control information of that tag. */
  tagControl(index: number): number {
    return this.#memory.u16[(this.#controls + index * CONTROL_BYTES + 32) >>> 1]!;
  }

  /** The protocol of that tag. */
  tagProtocol(index: number): number {
    if ((this.#status(index) & TP_STATUS_VLAN_TPID_VALID) === 0) return ETH_P_8021Q;
    return this.#memory.u16[(this.#controls + index * CONTROL_BYTES + 34) >>> 1]!;
  }

  /** Gives the memory back. */
  close(): void {
    this.#memory.unmap();
  }

  #status(index: number): number {
    return this.#memory.u32[(this.#controls + index * CONTROL_BYTES + 16) >>> 2]!;
  }
}
