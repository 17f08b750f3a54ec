/** Servers that echo, and clients, over every kind of wire. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { run } from '../../common/run.ts';
import { connectWire } from '../../common/wire/client.ts';
import { type Credentials, loadKeys } from '../../common/wire/credentials.ts';
import { keyLine } from '../../common/wire/keys.ts';
import type { Peer } from '../../common/wire/peer.ts';
import { WireServer, type WireServerOptions } from '../../common/wire/server.ts';

/** A folder of its own, mode 0700. */
export function folder(t: ExecutionContext): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-wire-'));
  t.teardown(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A key file with new keys of these hosts. */
export function keyFile(t: ExecutionContext, ...hosts: string[]): string {
  const file = path.join(folder(t), 'keys');
  const text = hosts.map(host => keyLine(host, randomBytes(32))).join('');
  fs.writeFileSync(file, text, { mode: 0o600 });
  return file;
}

export interface Echo {
  port: number;
  server: WireServer;
  peers: Peer[];
  /** Everything that came through, of all connections. */
  heard: () => string;
  /** The server's ends. */
  sockets: net.Socket[];
}

/** A server that sends back what it is sent, once the other end is known. */
export async function echo(
  t: ExecutionContext,
  options: Partial<WireServerOptions> = {},
): Promise<Echo> {
  const peers: Peer[] = [];
  const sockets: net.Socket[] = [];
  let heard = '';
  const server = new WireServer({
    connection: (socket, peer, established) => {
      established();
      peers.push(peer);
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('data', chunk => {
        heard += chunk;
        socket.write(chunk);
      });
    },
    ...options,
  });
  await server.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close());
  return { port: server.port, server, peers, heard: () => heard, sockets };
}

/** A connection that is ready. */
export function connect(
  t: ExecutionContext,
  port: number,
  credentials: Credentials | undefined,
): Promise<{ socket: net.Socket; peer: Peer }> {
  return new Promise((resolve, reject) => {
    const socket = connectWire({ host: '127.0.0.1', port }, credentials, {
      ready: peer => resolve({ socket, peer }),
      failed: reject,
    });
    t.teardown(() => socket.destroy());
  });
}

/** Sends a text and returns what comes back. */
export async function exchange(socket: net.Socket, text: string): Promise<string> {
  const answered = once(socket, 'data');
  socket.write(text);
  return String((await answered)[0]);
}

/** Resolves once the server has closed the socket, with what it had sent. */
export async function closedBy(socket: net.Socket): Promise<string> {
  let said = '';
  socket.on('error', () => {});
  socket.on('data', chunk => {
    said += chunk;
  });
  // Not once(): it would reject with the error that is expected here.
  if (!socket.closed) await new Promise(resolve => socket.once('close', resolve));
  return said;
}

export function keysOf(file: string, host?: string): Credentials {
  return loadKeys(file, host);
}

/** The files of an authority and of a certificate for each host, made by openssl. */
export async function authority(t: ExecutionContext, ...hosts: string[]) {
  const dir = folder(t);
  const at = (name: string) => path.join(dir, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const openssl = (...args: string[]) => run('openssl', args, { timeoutMs: 60_000 });
  const ca = ['-x509', '-days', '2', '-subj', '/CN=test authority'];
  await openssl('req', ...key, ...ca, '-keyout', at('ca.key'), '-out', at('ca.pem'));
  for (const host of hosts) {
    const files = ['-keyout', at(`${host}.key`), '-out', at(`${host}.csr`)];
    await openssl('req', ...key, '-subj', `/O=curling/CN=${host}`, ...files);
    const by = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2'];
    await openssl('x509', '-req', '-in', at(`${host}.csr`), ...by, '-out', at(`${host}.pem`));
    fs.chmodSync(at(`${host}.key`), 0o600);
  }
  return (host: string) => ({ cert: at(`${host}.pem`), key: at(`${host}.key`), ca: at('ca.pem') });
}
