/** Waiting for frames and for the main thread at once: poll(2) on a socket and on an eventfd. */
import { NativeMemory } from './native-memory.ts';
import { checked, close, eventfd, poll, read } from './syscalls.ts';

const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x80000;
const POLLIN = 1;

export class WakePoll {
  /** A write of 8 bytes to this eventfd, from any thread, ends `wait`. */
  readonly wakeFd = checked(eventfd(0, EFD_NONBLOCK_CLOEXEC), 'eventfd');
  /** Whether the last `wait` found the socket readable, or failed: reading tells. */
  readable = false;
  /** Whether the last `wait` found the eventfd written; it is reset. */
  woken = false;
  readonly #memory = new NativeMemory(64);

  /** struct pollfd: 0 fd, 4 events, 6 revents. */
  constructor() {
    this.#memory.i32[2] = this.wakeFd;
    this.#memory.u16[2] = POLLIN;
    this.#memory.u16[6] = POLLIN;
  }

  /** Waits for the socket `fd` (for none when it is -1) or the eventfd, at most `timeoutMs`. */
  wait(fd: number, timeoutMs: number): void {
    const { u16, i32, address } = this.#memory;
    i32[0] = fd;
    const count = poll(address, 2, timeoutMs);
    this.readable = count > 0 && u16[3] !== 0;
    this.woken = count > 0 && u16[7] !== 0;
    if (this.woken) read(this.wakeFd, address + 32, 8);
  }

  /** Waits without looking at anything. */
  pause(timeMs: number): void {
    poll(0, 0, timeMs);
  }

  /** Closes the eventfd. */
  close(): void {
    close(this.wakeFd);
    this.#memory.unmap();
  }
}
