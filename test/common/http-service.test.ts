/** What a daemon answers over HTTP, and its bounds. */
import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { type HttpRoutes, HttpService, respond } from '../../common/http/service.ts';
import { silentLogger } from '../../common/log.ts';
import { freePort, until } from '../coordinator/bench.ts';

const ROUTES: HttpRoutes = {
  '/facts': (_request, response) => respond(response, 200, 'text/plain', 'fact\n'),
  '/lasting': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('begun\n');
  },
  '/failing': () => {
    throw new CurlingError('CURLING_STATE', 'secret words');
  },
};

async function served(
  t: ExecutionContext,
  port = 0,
): Promise<{ service: HttpService; port: number }> {
  const service = HttpService.start({ host: '127.0.0.1', port }, ROUTES, silentLogger);
  t.teardown(() => service.close());
  await until('it listens', () => service.port !== undefined);
  return { service, port: service.port! };
}

/** Sends bytes, and returns all that comes until the other end closes. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  socket.setEncoding('latin1');
  socket.on('error', () => {});
  let said = '';
  socket.on('data', chunk => {
    said += chunk;
  });
  socket.write(text);
  await new Promise(resolve => socket.on('close', resolve));
  return said;
}

function request(method: string, path: string, host = '127.0.0.1', more = ''): string {
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`;
}

test('a page is given with its length and type, to HEAD without its body', async t => {
  const { port } = await served(t);
  const got = await exchange(port, request('GET', '/facts?since=1'));
  t.regex(got, /^HTTP\/1\.1 200 /);
  t.regex(got, /\r\nContent-Type: text\/plain; charset=utf-8\r\n/);
  t.regex(got, /\r\nContent-Length: 5\r\n/);
  t.regex(got, /\r\nX-Content-Type-Options: nosniff\r\n/);
  t.true(got.endsWith('\r\n\r\nfact\n'));
  const head = await exchange(port, request('HEAD', '/facts'));
  t.regex(head, /^HTTP\/1\.1 200 .*\r\nContent-Length: 5\r\n/s);
  t.true(head.endsWith('\r\n\r\n'));
});

test('what is not there, cannot be changed, or is asked by a name that is not ours is refused', async t => {
  const { service, port } = await served(t);
  t.regex(await exchange(port, request('GET', '/other')), /^HTTP\/1\.1 404 /);
  t.regex(await exchange(port, request('GET', '/constructor')), /^HTTP\/1\.1 404 /);
  const posted = await exchange(port, request('POST', '/facts'));
  t.regex(posted, /^HTTP\/1\.1 405 .*\r\nAllow: GET, HEAD\r\n/s);
  for (const host of ['evil.example', 'localhost.evil.example', ''])
    t.regex(await exchange(port, request('GET', '/facts', host)), /^HTTP\/1\.1 421 /, host);
  t.is(service.counters.refused, 6);
  const ours = ['localhost', `LOCALHOST:${port}`, `127.0.0.1:${port}`, '[::1]', os.hostname()];
  for (const host of ours)
    t.regex(await exchange(port, request('GET', '/facts', host)), /^HTTP\/1\.1 200 /, host);
});

test('a page that fails is a 500 without its reason', async t => {
  const { service, port } = await served(t);
  const got = await exchange(port, request('GET', '/failing'));
  t.regex(got, /^HTTP\/1\.1 500 /);
  t.notRegex(got, /secret/);
  t.is(service.counters.failed, 1);
});

test('too many headers are refused before anything is answered', async t => {
  const { service, port } = await served(t);
  const got = await exchange(
    port,
    request('GET', '/facts', 'localhost', `X: ${'x'.repeat(9_000)}\r\n`),
  );
  t.regex(got, /^HTTP\/1\.1 431 /);
  t.is(service.counters.requests, 0);
});

test('a connection too many is closed, and counted', async t => {
  const { service, port } = await served(t);
  const sockets = Array.from({ length: 64 }, () => net.connect(port, '127.0.0.1'));
  t.teardown(() => sockets.map(socket => socket.destroy()));
  await Promise.all(sockets.map(socket => once(socket, 'connect')));
  t.is(await exchange(port, request('GET', '/facts')), '');
  t.is(service.counters.connectionsRefused, 1);
  sockets.pop()!.destroy();
  await until(
    'there is room again',
    async () => (await exchange(port, request('GET', '/facts'))) !== '',
  );
});

test('a client that does not read its answer loses its connection, one that reads keeps it', async t => {
  const large = Buffer.alloc(32 << 20);
  const routes: HttpRoutes = {
    ...ROUTES,
    '/large': (_request, response) => respond(response, 200, 'text/plain', large),
  };
  const address = { host: '127.0.0.1', port: 0 };
  const service = HttpService.start(address, routes, silentLogger, { answerMsMax: 100 });
  t.teardown(() => service.close());
  await until('it listens', () => service.port !== undefined);
  const keeping = net.connect(service.port!, '127.0.0.1');
  t.teardown(() => keeping.destroy());
  const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  keeping.write(ask('/facts'));
  await once(keeping, 'data');
  const deaf = net.connect(service.port!, '127.0.0.1').pause();
  t.teardown(() => deaf.destroy());
  deaf.on('error', () => {});
  deaf.write(ask('/large'));
  await until('it is closed', () => service.counters.slowClientsClosed === 1);
  keeping.write(ask('/facts'));
  await once(keeping, 'data');
  t.is(service.counters.slowClientsClosed, 1);
});

test('an address that is taken is served once it is free', async t => {
  const port = await freePort();
  const first = HttpService.start({ host: '127.0.0.1', port }, ROUTES, silentLogger);
  await until('it listens', () => first.port === port);
  const options = { retryMs: 20 };
  const second = HttpService.start({ host: '127.0.0.1', port }, ROUTES, silentLogger, options);
  t.teardown(() => second.close());
  await new Promise(resolve => setTimeout(resolve, 60));
  t.is(second.port, undefined);
  await first.close();
  await until('it is served', () => second.port === port);
  t.regex(await exchange(port, request('GET', '/facts')), /^HTTP\/1\.1 200 /);
});

test('its end ends what would last, and what waits for the address', async t => {
  const { service, port } = await served(t);
  const lasting = exchange(port, request('GET', '/lasting'));
  await until('it has begun', () => service.counters.requests === 1);
  await service.close();
  t.regex(await lasting, /begun/);
  t.is(service.port, undefined);
  await service.close();
});
