import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import test from 'ava';
import type { CurlingError } from '../../common/errors.ts';
import type { Logger } from '../../common/log.ts';
import { clientFailure, serverFailure } from '../../common/wire/handshake-words.ts';
import { closedBy, connect, echo, exchange, keyFile, keysOf } from './rig.ts';

/** A log that keeps what it is told. */
function listLog(lines: string[]): Logger {
  return { warn: (_: object, text: string) => lines.push(text) } as unknown as Logger;
}

test('hosts with the same keys know each other, and nothing is readable in between', async t => {
  const file = keyFile(t, 'a', 'b');
  const b = await echo(t, { credentials: keysOf(file, 'b') });
  let seen = '';
  const between = net.createServer(client => {
    const server = net.connect(b.port, '127.0.0.1');
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('data', chunk => {
        seen += chunk.toString('latin1');
      });
      from.on('error', () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>(resolve => between.listen(0, '127.0.0.1', resolve));
  t.teardown(() => between.close());
  const { port } = between.address() as net.AddressInfo;
  const { socket, peer } = await connect(t, port, keysOf(file, 'a'));
  t.is(await exchange(socket, 'a secret of the guest'), 'a secret of the guest');
  t.true(b.peers[0]!.is('a'));
  t.false(b.peers[0]!.is('b'));
  t.true(peer.is('b'));
  t.false(peer.is('c'));
  const secure = socket as tls.TLSSocket;
  t.is(secure.getProtocol(), 'TLSv1.3');
  t.is(secure.getCipher().name, 'TLS_AES_128_GCM_SHA256');
  t.true(seen.length > 200);
  t.false(seen.includes('secret'));
  t.is(b.server.counters.authenticated, 1);
});

test('an unknown host and a wrong key are refused, counted, and told what to do', async t => {
  const lines: string[] = [];
  const file = keyFile(t, 'a', 'b');
  const b = await echo(t, { credentials: keysOf(file, 'b'), log: listLog(lines) });
  const stranger = connect(t, b.port, keysOf(keyFile(t, 'c'), 'c'));
  await t.throwsAsync(stranger, { code: 'CURLING_TLS', message: /does not know host c/ });
  const stale = connect(t, b.port, keysOf(keyFile(t, 'a'), 'a'));
  await t.throwsAsync(stale, { code: 'CURLING_TLS', message: /another key of host a/ });
  t.deepEqual(b.server.counters.handshakesFailed, { 'unknown-host': 1, 'wrong-key': 1 });
  t.regex(lines[0]!, /host c is not in our key file/);
  t.regex(lines[1]!, /host a has another key/);
  t.is(b.peers.length, 0);
});

test('plaintext does not meet TLS, in either direction', async t => {
  const file = keyFile(t, 'a', 'b');
  const b = await echo(t, { credentials: keysOf(file, 'b') });
  const plain = net.connect(b.port, '127.0.0.1');
  const closed = closedBy(plain);
  plain.write('{"execute":"qmp_capabilities"}\n');
  t.false((await closed).includes('QMP'));
  t.is(b.heard(), '');
  t.deepEqual(b.server.counters.handshakesFailed, { 'not-tls': 1 });

  const greeting = await echo(t, {
    connection: socket => void socket.on('error', () => {}).write('{"QMP": {}}\n'),
  });
  const refused = { code: 'CURLING_TLS', message: /does not speak TLS/ };
  await t.throwsAsync(connect(t, greeting.port, keysOf(file, 'a')), refused);
  const closing = await echo(t, { connection: socket => socket.destroy() });
  const error = await t.throwsAsync(connect(t, closing.port, keysOf(file, 'a')));
  t.regex((error as CurlingError).code, /^CURLING_(TLS|CONNECT)$/);
});

test('older TLS, and TLS without a key, are refused', async t => {
  const file = keyFile(t, 'a', 'b');
  const credentials = keysOf(file, 'b');
  const b = await echo(t, { credentials });
  const psk = credentials.kind === 'keys' ? credentials.keys.get('a')! : Buffer.alloc(0);
  const address = { host: '127.0.0.1', port: b.port, checkServerIdentity: () => undefined };
  const old = tls.connect({
    ...address,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.2',
    ciphers: 'PSK-AES128-GCM-SHA256',
    pskCallback: () => ({ psk, identity: 'a' }),
  } as tls.ConnectionOptions);
  await closedBy(old);
  await closedBy(tls.connect({ ...address, rejectUnauthorized: false }));
  t.deepEqual(b.server.counters.handshakesFailed, { 'old-tls': 1, 'no-key': 1 });
});

test('no connection is resumed: each proves itself anew', async t => {
  const file = keyFile(t, 'a', 'b');
  const b = await echo(t, { credentials: keysOf(file, 'b') });
  const first = await connect(t, b.port, keysOf(file, 'a'));
  const session = once(first.socket, 'session');
  await exchange(first.socket, 'x');
  const [ticket] = await session;
  const again = tls.connect({
    host: '127.0.0.1',
    port: b.port,
    session: ticket,
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  await closedBy(again);
  t.is(b.peers.length, 1);
});

test('a handshake that stalls, or drips, ends in time; those under way are bounded', async t => {
  const file = keyFile(t, 'a', 'b');
  const options = { handshakeMs: 1_000, halfOpenMax: 2 };
  const b = await echo(t, { credentials: keysOf(file, 'b'), ...options });
  const silent = net.connect(b.port, '127.0.0.1');
  const dripping = net.connect(b.port, '127.0.0.1');
  // The beginning of a record that says it has 512 bytes.
  const hello = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);
  let sent = 0;
  const drip = setInterval(() => {
    if (sent < 400) dripping.write(sent < hello.length ? hello.subarray(sent, sent + 1) : '\0');
    sent++;
  }, 10);
  t.teardown(() => clearInterval(drip));
  const both = Promise.all([closedBy(silent), closedBy(dripping)]);
  while (b.server.counters.connections < 2) await new Promise(resolve => setImmediate(resolve));
  const third = net.connect(b.port, '127.0.0.1');
  await closedBy(third);
  t.is(b.server.counters.halfOpenRefused, 1);
  await both;
  t.is(b.server.counters.handshakeTimeouts, 2);
  t.deepEqual(b.server.counters.handshakesFailed, {});
  const { socket } = await connect(t, b.port, keysOf(file, 'a'));
  t.is(await exchange(socket, 'room again'), 'room again');
});

test('the log says some failed handshakes, and how many it left out', async t => {
  const lines: string[] = [];
  const file = keyFile(t, 'a', 'b');
  const b = await echo(t, { credentials: keysOf(file, 'b'), log: listLog(lines) });
  for (let n = 0; n < 8; n++) {
    const socket = net.connect(b.port, '127.0.0.1');
    socket.write('hello\n\n\n');
    await closedBy(socket);
  }
  t.is(b.server.counters.handshakesFailed['not-tls'], 8);
  t.is(lines.length, 5);
});

test('corked writes, pauses, ends and a peer that dies are as over TCP', async t => {
  const file = keyFile(t, 'a', 'b');
  const b = await echo(t, { credentials: keysOf(file, 'b') });
  const { socket } = await connect(t, b.port, keysOf(file, 'a'));
  let back = 0;
  const all = new Promise<void>(resolve => {
    socket.on('data', chunk => {
      back += chunk.length;
      if (back === 3 << 20) resolve();
    });
  });
  let callbacks = 0;
  const written = new Promise<void>(resolve => {
    socket.cork();
    for (let n = 0; n < 48; n++)
      socket.write(Buffer.alloc(65_536, n), () => ++callbacks === 48 && resolve());
    socket.uncork();
  });
  await Promise.all([written, all]);

  // Paused, it takes nothing, and loses nothing.
  socket.pause();
  const served = b.sockets[0]!;
  served.write('kept');
  await exchange((await connect(t, b.port, keysOf(file, 'a'))).socket, 'meanwhile');
  t.is(back, 3 << 20);
  const resumed = once(socket, 'data');
  socket.resume();
  t.is(String((await resumed)[0]), 'kept');

  // An end in good order, and one without a farewell of TLS: both are seen, with nothing sent.
  const ended = once(served, 'end');
  socket.end();
  await ended;
  const other = await connect(t, b.port, keysOf(file, 'a'));
  await exchange(other.socket, 'x');
  const noticed = once(b.sockets[2]!, 'close');
  other.socket.destroy();
  await noticed;
  t.pass();
});

test('a peer whose process is killed is noticed by the end of its connection', async t => {
  const file = keyFile(t, 'a', 'b');
  const b = await echo(t, { credentials: keysOf(file, 'b') });
  const module = (name: string) => new URL(`../../common/wire/${name}.js`, import.meta.url).href;
  const script = `
    import { connectWire } from '${module('client')}';
    import { loadKeys } from '${module('credentials')}';
    const address = { host: '127.0.0.1', port: ${b.port} };
    const socket = connectWire(address, loadKeys('${file}', 'a'), {
      ready: () => socket.on('data', () => process.kill(process.pid, 'SIGKILL')).write('x'),
      failed: error => { throw error; },
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [, signal] = await once(child, 'exit');
  t.is(signal, 'SIGKILL');
  // No timer is involved: without the end of the connection this would wait for ever.
  const served = b.sockets[0]!;
  if (!served.readableEnded) await once(served, 'end');
  t.true(served.readableEnded);
});

test('handshake failures have words on every version of OpenSSL 3', t => {
  const facts = { claim: undefined, known: false, authorizationError: undefined };
  const cause = (code: string) => serverFailure({ ...facts, code }).cause;
  t.is(cause('ERR_SSL_HTTP_REQUEST'), 'not-tls');
  t.is(cause('ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'), 'certificate');
  t.is(cause('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), 'refused-us');
  t.is(cause('ECONNRESET'), 'broken-off');
  t.is(cause('ERR_SSL_ANYTHING'), 'other');
  const strange = serverFailure({ ...facts, code: 'x', claim: 'two\nlines' });
  t.false(strange.text.includes('lines'));
  t.regex(clientFailure('ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR', '', 'a'), /another key of host a/);
  t.regex(clientFailure('ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', '', 'a'), /not know host a/);
});
