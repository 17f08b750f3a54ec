/** Connects a primary to its backup. */
import net from 'node:net';
import { type Clock, monotonicClock } from '../../common/clock.ts';
import { CurlingError } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';
import { type SenderHandlers, type SenderOptions, SenderSession } from './sender.ts';
import { BEAT_MS, drive, SocketLink } from './transport.ts';

export interface DialOptions extends SenderOptions {
  address: TcpAddress;
  /** For connecting, and then for the backup's answer to HELLO. Default 10,000. */
  timeoutMs?: number;
  /** Default 50. */
  beatMs?: number;
  clock?: Clock;
}

/**
 * Begins to connect and returns the session, still greeting. What fails is told to
 * `handlers.closed`: CURLING_CONNECT when nobody listens, CURLING_TIMEOUT when nobody answers.
 */
export function dialBackup(options: DialOptions, handlers: SenderHandlers): SenderSession {
  const { address, timeoutMs = 10_000, clock = monotonicClock } = options;
  const where = `${address.host}:${address.port}`;
  const socket = net.connect({ ...address, noDelay: true });
  let connected = false;
  const session = new SenderSession(options, new SocketLink(socket), handlers);
  const late = () => {
    if (session.state !== 'greeting') return;
    const text = `the backup at ${where} did not answer within ${timeoutMs} ms`;
    session.channel.destroy(new CurlingError('CURLING_TIMEOUT', text));
  };
  let timer = setTimeout(late, timeoutMs);
  socket.on('connect', () => {
    connected = true;
    clearTimeout(timer);
    timer = setTimeout(late, timeoutMs);
    session.start();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (connected) return;
    const text = `cannot connect to the backup at ${where}: ${error.code ?? error.message}`;
    session.channel.destroy(new CurlingError('CURLING_CONNECT', text, { cause: error }));
  });
  socket.on('close', () => clearTimeout(timer));
  drive(socket, session.channel, clock, options.beatMs ?? BEAT_MS, () => session.state === 'ready');
  return session;
}
