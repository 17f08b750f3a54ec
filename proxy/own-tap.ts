/**
 * A tap device of our own: what is written to it comes out of it as if a guest had sent it, with vnet headers, so that
 * partial checksums and GSO frames stay as the guest made them. It vanishes when its descriptor is closed.
 */
import { CurlingError } from '../common/errors.ts';
import { NativeMemory } from './native-memory.ts';
import { checked, close, ERRNO, errno, errnoName, ioctl, open, write } from './syscalls.ts';

const TUN_PATH = '/dev/net/tun';
/** include/uapi/asm-generic/fcntl.h */
const O_RDWR = 2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;
/** include/uapi/linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM_TSO = 0x0f;
const TUN_F_USO = 0x60;
const INTERFACE_NAME_BYTES = 16;

export class OwnTap {
  readonly fd: number;
  readonly name: string;
  readonly #memory = new NativeMemory(64);

  /**
   * Creates the tap `name` (at most 15 characters), or attaches to one that is there and has no other user.
   * @throws CurlingError CURLING_NO_TUN, CURLING_NOT_ROOT, CURLING_BUSY when another process has it, CURLING_DATAPATH.
   */
  constructor(name: string) {
    this.name = name;
    this.fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    if (this.fd < 0) throw openError(errno());
    try {
      this.#attach();
      this.#setHeaderSize();
      this.#setOffloads();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Sends the frame of `length` bytes, vnet header included, that lies at `address`, without waiting.
   * @returns 0, or the errno of the failure.
   */
  send(address: number, length: number): number {
    return write(this.fd, address, length) < 0 ? errno() : 0;
  }

  /** Closes the descriptor; the device is gone on return. */
  close(): void {
    close(this.fd);
    this.#memory.unmap();
  }

  #attach(): void {
    const { address, bytes, u16 } = this.#memory;
    bytes.fill(0);
    bytes.set(Buffer.from(this.name, 'latin1').subarray(0, INTERFACE_NAME_BYTES - 1));
    u16[INTERFACE_NAME_BYTES / 2] = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(this.fd, TUNSETIFF, address) >= 0) return;
    const code = errno();
    if (code === ERRNO.EBUSY || code === ERRNO.EINVAL) {
      const text = `the interface ${this.name} is taken; is another curling-proxy running on this tap?`;
      throw new CurlingError('CURLING_BUSY', text);
    }
    throw new CurlingError(
      code === ERRNO.EPERM ? 'CURLING_NOT_ROOT' : 'CURLING_DATAPATH',
      `cannot create the tap ${this.name}: ${errnoName(code)}`,
    );
  }

  #setHeaderSize(): void {
    this.#memory.i32[0] = 10;
    checked(ioctl(this.fd, TUNSETVNETHDRSZ, this.#memory.address), 'TUNSETVNETHDRSZ');
  }

  /** Kernels before 6.2 know no UDP segmentation on a tap. */
  #setOffloads(): void {
    if (ioctl(this.fd, TUNSETOFFLOAD, TUN_F_CSUM_TSO | TUN_F_USO) >= 0) return;
    checked(ioctl(this.fd, TUNSETOFFLOAD, TUN_F_CSUM_TSO), 'TUNSETOFFLOAD');
  }
}

function openError(code: number): CurlingError {
  const refused = code === ERRNO.EPERM || code === ERRNO.EACCES;
  const text = refused
    ? `opening ${TUN_PATH} was refused (${errnoName(code)}); run as root or with CAP_NET_ADMIN`
    : `${TUN_PATH} cannot be opened (${errnoName(code)}); load the module tun, or give the container the device`;
  return new CurlingError(refused ? 'CURLING_NOT_ROOT' : 'CURLING_NO_TUN', text);
}
