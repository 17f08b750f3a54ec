import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { EventStreams } from '../../common/http/event-streams.ts';
import { until } from '../coordinator/bench.ts';
import { status } from '../ctl/documents.ts';
import { pageOf, serve } from './served.ts';

const STREAMS_MAX = 16;
const RENEW_MS = 1_000;

interface Event {
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: what the page sends is looked at member by member.
  data: any;
}

/** Listens to `/events`, and keeps what it hears. */
async function listen(t: ExecutionContext, url: string, heard: Event[] = []) {
  const request = http.get(`${url}/events`, { agent: false });
  t.teardown(() => request.destroy());
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  request.on('error', () => {});
  response.on('error', () => {});
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    const messages = (text + chunk).split('\n\n');
    text = messages.pop()!;
    for (const message of messages) {
      const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(message) ?? [];
      heard.push({ name, data: JSON.parse(data) });
    }
  });
  const closed = new Promise<void>(resolve => response.once('close', () => resolve()));
  return { heard, request, status: response.statusCode!, headers: response.headers, closed };
}

test('the page allows nothing from elsewhere, and all that it names is served', async t => {
  const { url } = await pageOf(t);
  const answer = await fetch(`${url}/`);
  t.is(answer.status, 200);
  t.is(answer.headers.get('content-type'), 'text/html; charset=utf-8');
  t.regex(answer.headers.get('content-security-policy')!, /^default-src 'self';/);
  t.is(answer.headers.get('x-content-type-options'), 'nosniff');
  const page = await answer.text();
  const named = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(match => match[1]!);
  t.true(named.length >= 10);
  for (const name of named.filter(each => each !== 'metrics')) {
    const part = await fetch(new URL(name, `${url}/`));
    t.is(part.status, 200, name);
    t.true((await part.text()).length > 100, name);
  }
  const types = await Promise.all(
    ['page.css', 'uplot.js', 'icon-bad.svg', 'status.json'].map(async name =>
      (await fetch(`${url}/${name}`)).headers.get('content-type'),
    ),
  );
  t.deepEqual(types, [
    ...['text/css; charset=utf-8', 'text/javascript; charset=utf-8', 'image/svg+xml'],
    'application/json',
  ]);
});

test('HEAD has no body and opens no stream, and nothing can be changed', async t => {
  const { url, page } = await pageOf(t);
  for (const path of ['/', '/page.js', '/status.json', '/history.json', '/events']) {
    const answer = await fetch(url + path, { method: 'HEAD' });
    t.is(answer.status, 200, path);
    t.is(await answer.text(), '', path);
    t.is((await fetch(url + path, { method: 'POST', body: 'x' })).status, 405, path);
  }
  t.is(page.streams.size, 0);
  t.is(page.streams.counters.opened, 0);
});

test('programs get the status as it is, and the history in pieces', async t => {
  const { url, world } = await pageOf(t);
  world.nowMs = 400_000;
  t.deepEqual(await (await fetch(`${url}/status.json`)).json(), world.status);
  const rows = [];
  let cursor = '';
  for (let more = true; more; ) {
    const query = new URLSearchParams({ cursor });
    // biome-ignore lint/suspicious/noExplicitAny: a document of coordinator/history.ts.
    const piece = (await (await fetch(`${url}/history.json?${query}`)).json()) as any;
    ({ cursor, more } = piece);
    rows.push(...piece.fine.columns.state);
  }
  t.is(rows.length, 400);
});

test('a listener gets everything first, then what has changed, and what happens at once', async t => {
  const { url, world, page, events } = await pageOf(t);
  world.nowMs = 400_000;
  const { heard, headers } = await listen(t, url);
  t.is(headers['content-type'], 'text/event-stream');
  const rows = () =>
    heard.flatMap(({ name, data }) => (name === 'history' ? data.fine.columns.state : []));
  await until('the whole history', () => rows().length === 400);
  const views = () => heard.filter(({ name }) => name === 'view').map(({ data }) => data);
  const all = Object.keys(views()[0].parts);
  t.true(all.includes('state') && all.includes('events') && all.includes('numbers'));
  t.is(views()[0].tone, 'good');
  t.true(heard.find(({ name }) => name === 'history')!.data.reset);

  const before = views().length;
  world.status = status({ state: 'SOLO', protected: false, peer: null });
  events.take('PROTECTION_LOST', { reason: 'alone' }, new Date());
  page.happened();
  await until('a view', () => views().length > before);
  const happened = heard.findIndex(({ name }) => name === 'happened');
  t.is(heard[happened]!.data.name, 'PROTECTION_LOST');
  const view = views().find(({ tone }) => tone === 'bad');
  t.regex(view.parts.state, /UNPROTECTED/);
  t.regex(view.parts.events, /PROTECTION_LOST/);
  t.is(view.parts.failovers, undefined, 'it is as it was');

  world.nowMs += 3_000;
  await until('new rows', () => rows().length === 403);
});

test('while nobody listens nothing is made', async t => {
  const { url, world, page } = await pageOf(t);
  const listener = await listen(t, url);
  await until('three views', () => listener.heard.filter(e => e.name === 'view').length >= 3);
  listener.request.destroy();
  await until('its end', () => page.streams.size === 0);
  const { asked } = world;
  await sleep(2.5 * RENEW_MS);
  t.is(world.asked, asked);
});

test('sixteen listen, one more is refused until one leaves', async t => {
  const { url, page } = await pageOf(t);
  const listeners = [];
  for (let i = 0; i < STREAMS_MAX; i++) listeners.push(await listen(t, url));
  const refused = await fetch(`${url}/events`);
  t.is(refused.status, 503);
  t.is(page.streams.counters.refused, 1);
  listeners[3]!.request.destroy();
  await until('a place', () => page.streams.size < STREAMS_MAX);
  t.is((await listen(t, url)).status, 200);
});

test('who does not read is dropped at a bound, and counted; others are not', async t => {
  const streams = new EventStreams();
  const opened: NonNullable<ReturnType<EventStreams['open']>>[] = [];
  const { url, service } = await serve(t, {
    '/events': (request, response) => {
      const stream = streams.open(request, response);
      if (stream) opened.push(stream);
    },
  });
  const deaf = net.connect(service.port!, '127.0.0.1');
  t.teardown(() => deaf.destroy());
  deaf.on('error', () => {});
  deaf.pause();
  deaf.write('GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  await until('the deaf one', () => opened.length === 1);
  const good = await listen(t, url);
  await until('the good one', () => opened.length === 2);
  const long = 'x'.repeat(64 << 10);
  let sent = 0;
  await until('its end', () => {
    for (const stream of streams) stream.send('long', long);
    sent++;
    return streams.counters.dropped === 1;
  });
  // What the kernel takes is not unsent: it has bounds of its own, a few MiB.
  t.true(sent * long.length < 64 << 20);
  await until('all of it', () => good.heard.length >= sent - 1);
  await until('one left', () => streams.size === 1);
});

test('the end of the service ends every stream', async t => {
  const { url, service, page } = await pageOf(t);
  const listeners = [await listen(t, url), await listen(t, url)];
  await service.close();
  await Promise.all(listeners.map(({ closed }) => closed));
  await until('the end', () => page.streams.size === 0);
  t.pass();
});
