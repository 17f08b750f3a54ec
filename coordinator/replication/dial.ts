/** Connects a primary to its backup. */
import { type Clock, monotonicClock } from '../../common/clock.ts';
import { asCurlingError, CurlingError } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import { connectWire } from '../../common/wire/client.ts';
import type { Credentials } from '../../common/wire/credentials.ts';
import { checkPeer, type Peer, UNPROVEN } from '../../common/wire/peer.ts';
import type { LinkShare } from './link-share.ts';
import { type SenderHandlers, type SenderOptions, SenderSession } from './sender.ts';
import { SharedLink } from './shared-link.ts';
import { BEAT_MS, drive, SocketLink } from './transport.ts';
import { unackedBytes } from './unacked.ts';

export interface DialOptions extends SenderOptions {
  address: TcpAddress;
  /** Undefined: plaintext. */
  credentials?: Credentials | undefined;
  /** For connecting, and then for the backup's answer to HELLO. Default 10,000. */
  timeoutMs?: number;
  /** Default 50. */
  beatMs?: number;
  clock?: Clock;
  /** With whom this connection shares its way; undefined: with nobody. */
  share?: LinkShare | undefined;
}

/**
 * Begins to connect and returns the session, still greeting. What fails is told to
 * `handlers.closed`: CURLING_CONNECT when nobody listens, CURLING_TLS when one end does not accept
 * the other, CURLING_TIMEOUT when nobody answers, CURLING_IDENTITY when who answers says that it is
 * another host than it has proven.
 */
export function dialBackup(options: DialOptions, handlers: SenderHandlers): SenderSession {
  const { address, credentials, timeoutMs = 10_000, clock = monotonicClock } = options;
  const called = `the backup at ${address.host}:${address.port}`;
  let peer: Peer = UNPROVEN;
  const late = () => {
    if (session.state !== 'greeting') return;
    const text = `${called} did not answer within ${timeoutMs} ms`;
    session.channel.destroy(new CurlingError('CURLING_TIMEOUT', text));
  };
  let timer = setTimeout(late, timeoutMs);
  const answers = {
    ready: (proven: Peer) => {
      peer = proven;
      clearTimeout(timer);
      timer = setTimeout(late, timeoutMs);
      const ready = () => session.state === 'ready';
      const beatMs = options.beatMs ?? BEAT_MS;
      drive(socket, direct, session.channel, { clock, beatMs, bulk: false, ready });
      session.start();
    },
    failed: (error: CurlingError) => session.channel.destroy(error),
  };
  const socket = connectWire(address, credentials, answers, called);
  socket.on('close', () => clearTimeout(timer));
  const direct = new SocketLink(socket);
  const { share } = options;
  const link = share
    ? new SharedLink({ link: direct, share, clock, unacked: () => unackedBytes(socket) })
    : direct;
  const session = new SenderSession(options, link, {
    ...handlers,
    welcome: welcome => {
      try {
        checkPeer(peer, welcome.host, 'WELCOME');
      } catch (error) {
        return session.channel.fail(asCurlingError(error));
      }
      handlers.welcome(welcome);
    },
  });
  return session;
}

/** What a backup said, or what was said of it, with the address of which there may be several. */
export function saidOf({ host, port }: TcpAddress, text: string): string {
  const where = `${host}:${port}`;
  return text.includes(where) ? text : `${where}: ${text}`;
}
