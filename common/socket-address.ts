/** Where a socket is: the path of a unix socket, or a TCP address. */
import type { TcpAddress } from './options.ts';

export type SocketAddress = string | TcpAddress;

/** The words for an address in a message. */
export function describeAddress(address: SocketAddress): string {
  return typeof address === 'string' ? address : `${address.host}:${address.port}`;
}
