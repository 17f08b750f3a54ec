/** One TCP connection to the guest, made once. */
import { connect, type Socket } from 'node:net';
import { CurlingError } from '../../common/errors.ts';
import type { TcpAddress } from '../../common/options.ts';

/**
 * Connects within `timeoutMs`, without delay of small writes.
 * @throws CurlingError CURLING_CONNECT
 */
export function connectOnce(to: TcpAddress, timeoutMs = 5000): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: to.host, port: to.port, noDelay: true });
    const fail = (reason: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new CurlingError('CURLING_CONNECT', `${to.host}:${to.port}: ${reason}`));
    };
    const timer = setTimeout(() => fail(`no answer in ${timeoutMs} ms`), timeoutMs);
    socket.once('error', error => fail(error.message));
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

/**
 * Resolves with the reason when the connection ends for any reason; `data` gets what arrives
 * until then.
 */
export function untilLost(socket: Socket, data: (chunk: Buffer) => void): Promise<string> {
  return new Promise(resolve => {
    socket.on('data', data);
    socket.on('error', error => resolve(error.message));
    socket.on('end', () => resolve('closed by the other side'));
    socket.on('close', () => resolve('closed'));
  });
}
