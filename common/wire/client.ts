/** Connects to a WireServer, or to any socket without credentials. */
import type { X509Certificate } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { CurlingError, type ErrorCode } from '../errors.ts';
import { describeAddress, type SocketAddress } from '../socket-address.ts';
import { namesIn } from './certificates.ts';
import type { Credentials } from './credentials.ts';
import { clientFailure } from './handshake-words.ts';
import { type Peer, provenPeer, UNPROVEN } from './peer.ts';
import { TLS_OPTIONS } from './tls-options.ts';

export interface WireHandlers {
  /** The other end has proven itself; bytes may be sent, and come from now on. */
  ready(peer: Peer): void;
  /**
   * Instead of `ready`: CURLING_CONNECT when nobody is there, CURLING_TLS when we do not agree.
   * Destroying the socket before it is ready ends in this too.
   */
  failed(error: CurlingError): void;
}

/**
 * Begins to connect; exactly one of the handlers is called, later. Unix sockets are plaintext.
 * After `ready` the socket is the caller's, with its errors.
 * @param called What messages call the other end.
 */
export function connectWire(
  address: SocketAddress,
  credentials: Credentials | undefined,
  handlers: WireHandlers,
  called: string = describeAddress(address),
): net.Socket {
  const secure = typeof address !== 'string' && credentials;
  const socket = secure ? connectTls(address, secure) : connectPlain(address);
  let decided = false;
  const fail = (code: ErrorCode, text: string, cause?: unknown) => {
    if (decided) return;
    decided = true;
    const message = `cannot connect to ${called}: ${text}`;
    handlers.failed(new CurlingError(code, message, { cause }));
    socket.destroy();
  };
  let reached = false;
  socket.once('connect', () => {
    reached = true;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (!secure || !reached) return fail('CURLING_CONNECT', error.code ?? error.message, error);
    const host = secure.kind === 'keys' ? secure.host : undefined;
    fail('CURLING_TLS', clientFailure(error.code, error.message, host), error);
  });
  socket.on('close', () => fail('CURLING_CONNECT', 'it closed the connection'));
  socket.once(secure ? 'secureConnect' : 'connect', () => {
    if (decided) return;
    const peer = secure ? peerOf(socket as tls.TLSSocket, secure) : UNPROVEN;
    if (!peer) return fail('CURLING_TLS', 'it has shown a certificate instead of a key');
    decided = true;
    handlers.ready(peer);
  });
  return socket;
}

function connectPlain(address: SocketAddress): net.Socket {
  return typeof address === 'string'
    ? net.connect({ path: address })
    : net.connect({ ...address, noDelay: true });
}

function connectTls(
  address: { host: string; port: number },
  credentials: Credentials,
): tls.TLSSocket {
  const common = { ...TLS_OPTIONS, ...address, noDelay: true };
  if (credentials.kind === 'certificates') {
    const { cert, key, ca } = credentials;
    // The name in the certificate is compared with what its owner says, not with its address.
    return tls.connect({ ...common, cert, key, ca, checkServerIdentity: () => undefined });
  }
  const { host, keys } = credentials;
  const psk = host === undefined ? undefined : keys.get(host);
  return tls.connect({
    ...common,
    // No authority at all: a server cannot take the way around the key with a certificate.
    ca: [],
    checkServerIdentity: () => undefined,
    pskCallback: () => (psk ? { psk, identity: host! } : null),
  } as tls.ConnectionOptions);
}

/** With keys, the other end has proven that it has ours: so it is one of the hosts of the file. */
function peerOf(socket: tls.TLSSocket, credentials: Credentials): Peer | undefined {
  const certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
  if (credentials.kind === 'certificates')
    return socket.authorized && certificate ? provenPeer(namesIn(certificate)) : undefined;
  return certificate ? undefined : provenPeer(credentials.keys.keys());
}
