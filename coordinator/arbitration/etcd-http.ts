/** One POST of JSON over HTTP or HTTPS, bounded in time and bytes, that tells whether it was sent. */
import http from 'node:http';
import https from 'node:https';
import { CurlingError, messageOf } from '../../common/errors.ts';

export interface PostLimits {
  /** For the connection, its TLS handshake included. Milliseconds. */
  readonly connectMs: number;
  /** For all of it. Milliseconds. */
  readonly totalMs: number;
  readonly answerBytesMax: number;
}

export interface PostAnswer {
  readonly status: number;
  readonly text: string;
}

/** Told of each connection that was opened for a request. */
export type OnConnection = () => void;

/**
 * Sends `body` to `url` and returns the whole answer, whatever its status.
 * @param signal Ends it early.
 * @throws CurlingError CURLING_CONNECT: the request surely was not sent. Any other code:
 *   CURLING_TIMEOUT, CURLING_CONNECTION_LOST, CURLING_MESSAGE (an answer over its bound): it may
 *   have been.
 */
export function postJson(
  url: URL,
  agent: http.Agent,
  body: string,
  limits: PostLimits,
  signal: AbortSignal,
  onConnection: OnConnection = () => {},
): Promise<PostAnswer> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const request = (secure ? https : http).request(url, { method: 'POST', agent, headers });
    let sent = false;
    const fail = (code: 'CURLING_TIMEOUT' | 'CURLING_CONNECTION_LOST', text: string) => {
      finish();
      reject(new CurlingError(sent ? code : 'CURLING_CONNECT', text));
      request.destroy();
    };
    const expire = (ms: number) => () => {
      fail(
        'CURLING_TIMEOUT',
        `${sent ? 'no answer' : 'no connection'} within ${Math.round(ms)} ms`,
      );
    };
    const total = setTimeout(expire(limits.totalMs), limits.totalMs);
    const connecting = setTimeout(expire(limits.connectMs), limits.connectMs);
    const abort = () => fail('CURLING_CONNECTION_LOST', 'it was closed here');
    const finish = () => {
      clearTimeout(total);
      clearTimeout(connecting);
      signal.removeEventListener('abort', abort);
    };
    const connected = () => {
      sent = true;
      clearTimeout(connecting);
    };
    request.once('socket', socket => {
      // A connection that stands already takes the request at once.
      if (!socket.connecting) return connected();
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        connected();
        onConnection();
      });
    });
    request.on('error', error => fail('CURLING_CONNECTION_LOST', messageOf(error).trim()));
    request.once('response', response => {
      collect(response, limits.answerBytesMax).then(
        text => {
          finish();
          resolve({ status: response.statusCode ?? 0, text });
        },
        error => {
          finish();
          reject(error);
          request.destroy();
        },
      );
    });
    signal.addEventListener('abort', abort);
    if (signal.aborted) return abort();
    request.end(body);
  });
}

async function collect(response: http.IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new CurlingError('CURLING_CONNECTION_LOST', messageOf(error), { cause: error });
  }
  if (bytes > bytesMax)
    throw new CurlingError('CURLING_MESSAGE', `the answer has more than ${bytesMax} bytes`);
  return Buffer.concat(chunks).toString();
}
