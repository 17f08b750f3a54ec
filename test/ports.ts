/** Ports on loopback for servers that a test starts. */
import { randomInt } from 'node:crypto';
import net from 'node:net';

/** Below what the kernel gives out by itself (ip_local_port_range begins at 32768). */
const [FIRST, LAST] = [10_000, 32_000] as const;
const TRIES = 50;
const given = new Set<number>();

/**
 * A port on which nothing listens now, another one each time. Neither a connection of somebody else nor a `listen(0)`
 * takes it before the test does, and another test file that runs beside this one hardly ever.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(FIRST, LAST);
    if (given.has(port) || !(await isFree(port, '127.0.0.1'))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port in ${TRIES} tries`);
}

/** Whether one can listen on it. @param host Default all addresses. */
export function isFree(port: number, host?: string): Promise<boolean> {
  const server = net.createServer();
  return new Promise(resolve => {
    server.on('error', () => resolve(false));
    server.listen({ port, ...(host ? { host } : {}) }, () => server.close(() => resolve(true)));
  });
}
