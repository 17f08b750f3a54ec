/**
 * What the other end of a TCP connection on this machine has written, and the kernel has not delivered yet: bytes in the
 * queue of its socket, for a full window or because of Nagle's algorithm. Only the owner of that socket could ask for it
 * by a call; the kernel lists it in /proc/net/tcp and tcp6 (Documentation/networking/proc_net_tcp.rst):
 *
 *   sl  local_address rem_address   st tx_queue:rx_queue …        addresses are HEX:PORT, all numbers are hex
 *
 * tx_queue of a connected socket is what was written and not acknowledged; what is acknowledged is in the receiver's queue.
 */
import fs from 'node:fs';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
/** LISTEN: its queue means something else. */
const LISTEN = '0A';

/**
 * Bytes that are not delivered, of all sockets of this network namespace with these ports.
 * @param from Port of the socket that writes. @param to Port of the one that reads.
 * @param tables Lists in the kernel's form; for tests.
 * @returns undefined when there is no such socket: the writer is not here, or not in this network namespace.
 */
export function unsentBytes(
  from: number,
  to: number,
  tables: readonly string[] = readTables(),
): number | undefined {
  let sum: number | undefined;
  for (const line of tables.flatMap(table => table.split('\n').slice(1))) {
    const [, local = '', remote = '', state, queues = ''] = line.trim().split(/\s+/);
    if (state === LISTEN || portOf(local) !== from || portOf(remote) !== to) continue;
    sum = (sum ?? 0) + Number.parseInt(queues.split(':')[0]!, 16);
  }
  return sum;
}

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}

function readTables(): string[] {
  return TABLES.map(table => {
    try {
      return fs.readFileSync(table, 'latin1');
    } catch {
      return '';
    }
  });
}
