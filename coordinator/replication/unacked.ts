/** How many bytes of a TCP connection the kernel has that the other end has not acknowledged: SIOCOUTQ of tcp(7). */
import type net from 'node:net';
import koffi from 'koffi';

/** include/uapi/asm-generic/ioctls.h: TIOCOUTQ is SIOCOUTQ for sockets. */
const SIOCOUTQ = 0x5411;

const ioctl = koffi.load(null).func('int ioctl(int, unsigned long, _Out_ int *)');

/** A connection that has no descriptor any more has nothing. */
export function unackedBytes(socket: net.Socket): number {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  if (fd < 0) return 0;
  const bytes = [0];
  return ioctl(fd, SIOCOUTQ, bytes) < 0 ? 0 : bytes[0]!;
}
