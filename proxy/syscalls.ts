/**
 * The system calls of the datapath, bound from the C library that this process has loaded already, so glibc and musl
 * both do. Addresses are numbers (below 2^53). Numbers of options and requests are Linux's, equal on x86-64 and arm64;
 * their source is the header named beside them.
 */
import koffi from 'koffi';
import { CurlingError } from '../common/errors.ts';

const libc = koffi.load(null);

/** A result below 0 means failure; `errno()` right after the call says why. */
type Call<Arguments extends unknown[]> = (...args: Arguments) => number;

export const socket: Call<[domain: number, type: number, protocol: number]> = libc.func(
  'int socket(int, int, int)',
);
export const bind: Call<[fd: number, address: number, length: number]> = libc.func(
  'int bind(int, uint64_t, uint32_t)',
);
export const setsockopt: Call<
  [fd: number, level: number, option: number, value: number, length: number]
> = libc.func('int setsockopt(int, int, int, uint64_t, uint32_t)');
export const getsockopt: Call<
  [fd: number, level: number, option: number, value: number, length: number]
> = libc.func('int getsockopt(int, int, int, uint64_t, uint64_t)');
export const recvmsg: Call<[fd: number, message: number, flags: number]> = libc.func(
  'int64_t recvmsg(int, uint64_t, int)',
);
/** For calls that the C library has no function for. */
export const syscall: Call<[number: number, first: number, second: number, third: number]> =
  libc.func('int64_t syscall(int64_t, int64_t, int64_t, int64_t)');
export const read: Call<[fd: number, buffer: number, length: number]> = libc.func(
  'int read(int, uint64_t, uint64_t)',
);
export const write: Call<[fd: number, buffer: number, length: number]> = libc.func(
  'int write(int, uint64_t, uint64_t)',
);
export const ioctl: Call<[fd: number, request: number, argument: number]> = libc.func(
  'int ioctl(int, uint64_t, uint64_t)',
);
export const poll: Call<[fds: number, count: number, timeoutMs: number]> = libc.func(
  'int poll(uint64_t, uint64_t, int)',
);
export const eventfd: Call<[initial: number, flags: number]> = libc.func(
  'int eventfd(uint32_t, int)',
);
export const epollCreate: Call<[flags: number]> = libc.func('int epoll_create1(int)');
export const epollControl: Call<[epoll: number, operation: number, fd: number, event: number]> =
  libc.func('int epoll_ctl(int, int, int, uint64_t)');
export const epollWait: Call<[epoll: number, events: number, count: number, timeoutMs: number]> =
  libc.func('int epoll_wait(int, uint64_t, int, int)');
export const mmap: Call<
  [address: number, length: number, protection: number, flags: number, fd: number, offset: number]
> = libc.func('uintptr_t mmap(uint64_t, uint64_t, int, int, int, int64_t)');
export const munmap: Call<[address: number, length: number]> = libc.func(
  'int munmap(uint64_t, uint64_t)',
);
export const madvise: Call<[address: number, length: number, advice: number]> = libc.func(
  'int madvise(uint64_t, uint64_t, int)',
);
export const open: Call<[path: string, flags: number, mode: number]> = libc.func(
  'int open(const char *, int, int)',
);
export const close: Call<[fd: number]> = libc.func('int close(int)');
export const schedGetAffinity: Call<[thread: number, length: number, mask: number]> = libc.func(
  'int sched_getaffinity(int, uint64_t, uint64_t)',
);
export const schedSetAffinity: Call<[thread: number, length: number, mask: number]> = libc.func(
  'int sched_setaffinity(int, uint64_t, uint64_t)',
);
export const clockGettime: Call<[clock: number, time: number]> = libc.func(
  'int clock_gettime(int, uint64_t)',
);
/** Returns `to`. */
export const memcpy: Call<[to: number, from: number, length: number]> = libc.func(
  'uintptr_t memcpy(uint64_t, uint64_t, uint64_t)',
);
export const setns: Call<[fd: number, kind: number]> = libc.func('int setns(int, int)');

/** Why the last call of this thread failed. */
export const errno: () => number = koffi.errno;

/** The memory at an address as an ArrayBuffer, at most 4 GiB (koffi ends the process above). */
export const view: (address: bigint, length: number) => ArrayBuffer = koffi.view;

/** Where the memory of an array lies; it does not move. */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi.address(bytes));
}

const ERRNO_NAMES = new Map(
  Object.entries(koffi.os.errno).map(([name, value]) => [value as number, name]),
);

/** The name of an errno, such as EBUSY. */
export function errnoName(code: number): string {
  return ERRNO_NAMES.get(code) ?? `errno ${code}`;
}

/** errno values, include/uapi/asm-generic/errno.h. */
export const ERRNO = {
  EPERM: 1,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EINVAL: 22,
  ENETDOWN: 100,
  ENOBUFS: 105,
} as const;

/**
 * Passes the result of a call through.
 * @throws CurlingError CURLING_DATAPATH naming `what` and the errno, when the result is negative.
 */
export function checked(result: number, what: string): number {
  if (result >= 0) return result;
  throw new CurlingError('CURLING_DATAPATH', `${what} failed: ${errnoName(errno())}`);
}
