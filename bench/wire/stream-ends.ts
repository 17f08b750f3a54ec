/**
 * One TCP or TLS stream as one would write it in Node: whole MiB are written, as many as UNSENT_BYTES_MAX allows, and read
 * by `data` events, or into one buffer of the reader's own (`onread`, which Node offers to clients only).
 */
import net from 'node:net';
import tls from 'node:tls';
import { TLS_OPTIONS } from '../../common/wire/tls-options.ts';
import { CREDENTIALS, HOST, noise, UNSENT_BYTES_MAX } from './ways.ts';
import type { Window } from './window.ts';

const WRITE_BYTES = 1 << 20;
const READ_BYTES = 1 << 20;

/** Listens, and sends to whoever connects. Resolves with the port. */
export async function streamSource(secure: boolean, window: Window): Promise<number> {
  const connection = (socket: net.Socket) => send(socket, window);
  const psk = CREDENTIALS.kind === 'keys' ? CREDENTIALS.keys.get(HOST)! : null;
  const server = secure
    ? tls.createServer({ ...TLS_OPTIONS, pskCallback: () => psk }, connection)
    : net.createServer({ noDelay: true }, connection);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as net.AddressInfo).port;
}

/** Connects, and counts what comes. */
export function streamDrain(
  port: number,
  secure: boolean,
  ownBuffer: boolean,
  window: Window,
): void {
  const own = ownBuffer
    ? {
        onread: {
          buffer: Buffer.allocUnsafeSlow(READ_BYTES),
          callback: (bytes: number) => {
            window.add(bytes);
            return true;
          },
        },
      }
    : {};
  const to = { host: '127.0.0.1', port, noDelay: true, ...own };
  const socket = secure ? secureConnect(to) : net.connect(to);
  if (!ownBuffer) socket.on('data', chunk => window.add(chunk.length));
}

function secureConnect(to: object): tls.TLSSocket {
  const psk = CREDENTIALS.kind === 'keys' ? CREDENTIALS.keys.get(HOST)! : undefined;
  return tls.connect({
    ...TLS_OPTIONS,
    ...to,
    ca: [],
    checkServerIdentity: () => undefined,
    pskCallback: () => (psk ? { psk, identity: HOST } : null),
  } as tls.ConnectionOptions);
}

function send(socket: net.Socket, window: Window): void {
  const pieces = noise(WRITE_BYTES);
  socket.on('error', () => {}); // The drain has seen enough.
  let unsent = 0;
  let next = 0;
  const pump = () => {
    while (unsent < UNSENT_BYTES_MAX && !socket.destroyed) {
      unsent += WRITE_BYTES;
      socket.write(pieces[next++ % pieces.length]!, () => {
        unsent -= WRITE_BYTES;
        window.add(WRITE_BYTES);
        pump();
      });
    }
  };
  pump();
}
