/** Passes a request on to the page of one machine, which its thread serves on a unix socket. Bodies are not read. */
import http from 'node:http';
import { type HttpHandler, respond } from '../../common/http/service.ts';

/** How long the thread may take to begin its answer. */
const ANSWER_MS_MAX = 5_000;
const PASSED_ON = ['content-type', 'content-length', 'content-security-policy', 'referrer-policy'];
const ALSO = ['x-accel-buffering', 'retry-after'];

/**
 * @param socketPath Where the machine is served; undefined: nowhere now.
 * @param prefix Of the path, to be taken away, e.g. `/vm/web`.
 */
export function forward(socketPath: string | undefined, prefix: string): HttpHandler {
  return (request, response) => {
    const missing = () => respond(response, 503, 'text/plain', 'this machine is not served now\n');
    if (socketPath === undefined) return missing();
    const passed = http.request({
      ...{ socketPath, method: request.method, path: (request.url ?? '').slice(prefix.length) },
      // The Host of the request was looked at here.
      headers: { host: 'localhost' },
      agent: false,
    });
    const timer = setTimeout(() => passed.destroy(), ANSWER_MS_MAX);
    passed.on('response', answer => {
      clearTimeout(timer);
      for (const name of [...PASSED_ON, ...ALSO]) {
        const value = answer.headers[name];
        if (value !== undefined) response.setHeader(name, value);
      }
      response.writeHead(answer.statusCode ?? 502);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    passed.on('error', () => {
      clearTimeout(timer);
      if (response.headersSent) response.destroy();
      else missing();
    });
    response.on('close', () => passed.destroy());
    passed.end();
  };
}
