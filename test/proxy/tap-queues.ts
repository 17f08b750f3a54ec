/** A tap with several queues, one descriptor each, as QEMU opens it for a guest with several processors. */
import fs from 'node:fs';
import { NativeMemory } from '../../proxy/native-memory.ts';
import { checked, close, ioctl, open } from '../../proxy/syscalls.ts';
import { VNET_HEADER_BYTES } from '../../proxy/vlan-tag.ts';
import type { TapFrame } from './frame-builders.ts';
import { inNamespace, type TapLab } from './lab.ts';

/** include/uapi/asm-generic/fcntl.h */
const O_RDWR_NONBLOCK_CLOEXEC = 0x2 | 0x800 | 0x80000;
/** include/uapi/linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETQUEUE = 0x400454d9;
const IFF_TAP_NO_PI_VNET_HDR_MULTI_QUEUE = 0x0002 | 0x1000 | 0x4000 | 0x0100;
const IFF_ATTACH_QUEUE = 0x0200;
const IFF_DETACH_QUEUE = 0x0400;
const OFFLOADS = 0x6f;

export class TapQueues {
  readonly fds: number[];
  readonly #memory = new NativeMemory(64);
  readonly #buffer = Buffer.alloc(70_000);

  private constructor(namespace: string, name: string, count: number) {
    this.fds = inNamespace(namespace, () =>
      Array.from({ length: count }, () => this.#openQueue(name)),
    );
  }

  /** Makes the tap `name` with `count` queues, a port of `bridge`. The caller closes it. */
  static async create(
    lab: TapLab,
    name: string,
    count: number,
    bridge = 'br0',
  ): Promise<TapQueues> {
    const queues = new TapQueues(lab.namespace, name, count);
    await lab.ip([`link set ${name} addrgenmode none`, `link set ${name} master ${bridge} up`]);
    return queues;
  }

  send(queue: number, { header, frame }: TapFrame): void {
    fs.writeSync(this.fds[queue]!, Buffer.concat([header, frame]));
  }

  /** All frames that wait on a queue, vnet headers in front, the host's own chatter among them. */
  receiveAll(queue: number): Buffer[] {
    const frames: Buffer[] = [];
    for (;;) {
      try {
        const length = fs.readSync(this.fds[queue]!, this.#buffer);
        frames.push(Buffer.from(this.#buffer.subarray(0, length)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return frames;
        throw error;
      }
    }
  }

  /** Switches a queue off or on again, as a guest does that changes the number of its channels. */
  attach(queue: number, on: boolean): void {
    const { bytes, u16, address } = this.#memory;
    bytes.fill(0);
    u16[8] = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
    checked(ioctl(this.fds[queue]!, TUNSETQUEUE, address), 'TUNSETQUEUE');
  }

  close(): void {
    for (const fd of this.fds) close(fd);
    this.#memory.unmap();
  }

  #openQueue(name: string): number {
    const { bytes, u16, i32, address } = this.#memory;
    const fd = checked(open('/dev/net/tun', O_RDWR_NONBLOCK_CLOEXEC, 0), 'opening /dev/net/tun');
    bytes.fill(0);
    bytes.set(Buffer.from(name, 'latin1'));
    u16[8] = IFF_TAP_NO_PI_VNET_HDR_MULTI_QUEUE;
    checked(ioctl(fd, TUNSETIFF, address), 'TUNSETIFF');
    i32[0] = VNET_HEADER_BYTES;
    checked(ioctl(fd, TUNSETVNETHDRSZ, address), 'TUNSETVNETHDRSZ');
    checked(ioctl(fd, TUNSETOFFLOAD, OFFLOADS), 'TUNSETOFFLOAD');
    return fd;
  }
}
