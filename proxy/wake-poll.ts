/**
 * Waiting for frames and for the main thread at once: epoll(7) on the packet sockets and on an eventfd.
 *
 * A packet socket with a ring counts as readable as long as its newest frame is not given back, and held frames are not.
 * So it is watched for edges: `wait` returns when a frame has come since the last `wait`, and frames that were there
 * before must be looked for without it.
 */
import { NativeMemory } from './native-memory.ts';
import {
  checked,
  close,
  epollControl,
  epollCreate,
  epollWait,
  eventfd,
  poll,
  read,
} from './syscalls.ts';

const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x80000;
/** include/uapi/linux/eventpoll.h */
const EPOLL_CLOEXEC = 0x80000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
const EPOLLET = 0x8000_0000;
/** struct epoll_event is packed on x86-64 alone: 0 events, then 8 bytes of data. */
const DATA_AT = process.arch === 'x64' ? 4 : 8;
const EVENT_BYTES = DATA_AT + 8;
const EVENTS_MAX = 16;

export class WakePoll {
  /** A write of 8 bytes to this eventfd, from any thread, ends `wait`. */
  readonly wakeFd = checked(eventfd(0, EFD_NONBLOCK_CLOEXEC), 'eventfd');
  /** Whether the last `wait` found that a frame had come. */
  readable = false;
  /** Whether the last `wait` found the eventfd written; it is reset. */
  woken = false;
  readonly #epoll = checked(epollCreate(EPOLL_CLOEXEC), 'epoll_create1');
  readonly #memory = new NativeMemory(EVENTS_MAX * EVENT_BYTES + 8);
  readonly #scratch = this.#memory.address + EVENTS_MAX * EVENT_BYTES;

  constructor() {
    this.#watch(this.wakeFd, EPOLLIN);
  }

  /** Watches a packet socket from now on. */
  add(fd: number): void {
    this.#watch(fd, EPOLLIN | EPOLLET);
  }

  /** Waits for a new frame or for the eventfd, at most `timeoutMs`. */
  wait(timeoutMs: number): void {
    const count = epollWait(this.#epoll, this.#memory.address, EVENTS_MAX, timeoutMs);
    this.readable = this.woken = false;
    for (let index = 0; index < count; index++) {
      const fd = this.#memory.i32[(index * EVENT_BYTES + DATA_AT) >>> 2];
      if (fd === this.wakeFd) this.woken = true;
      else this.readable = true;
    }
    if (this.woken) read(this.wakeFd, this.#scratch, 8);
  }

  /** Waits without looking at anything. */
  pause(timeMs: number): void {
    poll(0, 0, timeMs);
  }

  /** Closes all that is its own; the packet sockets are not. */
  close(): void {
    close(this.#epoll);
    close(this.wakeFd);
    this.#memory.unmap();
  }

  #watch(fd: number, events: number): void {
    const { u32, i32, address } = this.#memory;
    u32[0] = events >>> 0;
    i32[DATA_AT >>> 2] = fd;
    checked(epollControl(this.#epoll, EPOLL_CTL_ADD, fd, address), 'epoll_ctl');
  }
}
