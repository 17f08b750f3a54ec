import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { isLoopback, loadKeys, wireCredentials } from '../../common/wire/credentials.ts';
import { keyLine, parseKeys } from '../../common/wire/keys.ts';
import { socketFolder } from '../../common/wire/private-file.ts';
import { authority, connect, echo, exchange, folder, keyFile, keysOf } from './rig.ts';

const HEX = 'ab'.repeat(32);
const KEYS = 'CURLING_KEYS';

test('key files: what is read, and what is refused with its line', t => {
  const text = `# hosts\n\na:${HEX}\r\nb-2.x_Y:${HEX.toUpperCase()}`;
  const keys = parseKeys(text, 'f');
  t.deepEqual([...keys.keys()], ['a', 'b-2.x_Y']);
  t.is(keyLine('a', keys.get('b-2.x_Y')!), `a:${HEX}\n`);
  for (const [bad, said] of [
    [`a:${HEX}\na:${HEX}`, /line 2: a has a key already/],
    [`a:${HEX.slice(1)}`, /line 1: expected 64 hex digits for a, got 63/],
    [`\n:${HEX}`, /line 2: expected HOST:KEY/],
    [`a ${HEX}`, /expected HOST:KEY/],
    [`a/b:${HEX}`, /expected HOST:KEY/],
    [`a:${HEX.slice(1)}g`, /expected HOST:KEY/],
    [Array.from({ length: 1025 }, (_, n) => `h${n}:${HEX}`).join('\n'), /more than 1024/],
  ] as const) {
    const error = t.throws(() => parseKeys(bad, 'f'), { code: KEYS, message: said });
    t.false(error!.message.includes(HEX.slice(1)));
  }
});

test('key files that others can use, or that are no files, are refused', t => {
  const file = keyFile(t, 'a');
  t.is(keysOf(file, 'a').kind, 'keys');
  t.throws(() => loadKeys(file, 'b'), { code: KEYS, message: /no key of b.*those of a/ });
  for (const mode of [0o644, 0o640, 0o602]) {
    fs.chmodSync(file, mode);
    t.throws(() => loadKeys(file), { code: KEYS, message: /chmod 600/ });
  }
  const dir = path.dirname(file);
  t.throws(() => loadKeys(dir), { code: KEYS, message: /not a regular file/ });
  t.throws(() => loadKeys(`${dir}/none`), { code: KEYS, message: /ENOENT/ });
  fs.writeFileSync(`${dir}/large`, '#'.repeat(300 << 10), { mode: 0o600 });
  t.throws(() => loadKeys(`${dir}/large`), { code: KEYS, message: /at most/ });
  fs.writeFileSync(`${dir}/empty`, '# none\n', { mode: 0o600 });
  t.throws(() => loadKeys(`${dir}/empty`), { code: KEYS, message: /no keys/ });
});

test('plaintext is for loopback, or for those who ask for it', t => {
  const use = (host: string) => ({ addresses: [['listen', { host, port: 1 }]] as const });
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) {
    t.is(wireCredentials({}, use(host)), undefined);
    t.true(isLoopback(host));
  }
  const open = { code: 'CURLING_USAGE', message: /--listen .*--keys/ };
  for (const host of ['192.0.2.1', '0.0.0.0', '::', 'example.org', '127.example.org'])
    t.throws(() => wireCredentials({}, use(host)), open);
  t.is(wireCredentials({ plaintext: true }, use('192.0.2.1')), undefined);
  const keys = keyFile(t, 'a');
  t.is(wireCredentials({ keys }, use('127.0.0.1'))?.kind, 'keys');
  const usage = { code: 'CURLING_USAGE' };
  t.throws(() => wireCredentials({ keys, plaintext: true }, use('127.0.0.1')), usage);
  t.throws(() => wireCredentials({ keys, 'tls-cert': 'c' }, use('127.0.0.1')), usage);
  t.throws(() => wireCredentials({ 'tls-cert': 'c' }, use('127.0.0.1')), usage);
});

test('certificates of one authority: names are proven, others are refused', async t => {
  const files = await authority(t, 'a', 'b');
  const other = await authority(t, 'a');
  const load = (of: typeof files, host: string) => {
    const { cert, key, ca } = of(host);
    const values = { 'tls-cert': cert, 'tls-key': key, 'tls-ca': ca };
    return wireCredentials(values, { host, addresses: [] });
  };
  const b = await echo(t, { credentials: load(files, 'b') });
  const { socket, peer } = await connect(t, b.port, load(files, 'a'));
  t.is(await exchange(socket, 'by certificate'), 'by certificate');
  t.true(peer.is('b'));
  t.false(peer.is('a'));
  t.true(b.peers[0]!.is('a'));
  t.false(b.peers[0]!.is('b'));

  const tls = { code: 'CURLING_TLS' };
  await t.throwsAsync(connect(t, b.port, load(other, 'a')), tls);
  await t.throwsAsync(connect(t, b.port, keysOf(keyFile(t, 'a'), 'a')), tls);
  const keyed = await echo(t, { credentials: keysOf(keyFile(t, 'b'), 'b') });
  await t.throwsAsync(connect(t, keyed.port, load(files, 'a')), tls);
  t.is(b.peers.length, 1);

  // A client that accepts any server, with a certificate of another authority, and with none.
  const foreign = load(other, 'a') as { kind: 'certificates'; cert: string; key: string };
  const { ca } = load(files, 'b') as { kind: 'certificates'; ca: string };
  const lured = await connect(t, b.port, { ...foreign, ca }).catch(() => undefined);
  if (lured) await new Promise(resolve => lured.socket.on('error', () => {}).on('close', resolve));
  t.is(b.peers.length, 1);
  t.true((b.server.counters.handshakesFailed.certificate ?? 0) >= 1);

  const { cert, key, ca: authorityFile } = files('a');
  const values = { 'tls-cert': cert, 'tls-key': files('b').key, 'tls-ca': authorityFile };
  const refused = (message: RegExp) => ({ code: KEYS, message });
  t.throws(() => wireCredentials(values, { addresses: [] }), refused(/not its private key/));
  values['tls-key'] = key;
  const asC = { host: 'c', addresses: [] };
  t.throws(() => wireCredentials(values, asC), refused(/is for a, expected c/));
  values['tls-ca'] = key;
  t.throws(() => wireCredentials(values, { addresses: [] }), refused(/PEM|others can use/));
});

test('folders of control sockets: made private, refused when others can write', t => {
  const dir = folder(t);
  t.is(socketFolder(`${dir}/made/here`), undefined);
  t.is(fs.statSync(`${dir}/made/here`).mode & 0o777, 0o700);
  t.is(fs.statSync(`${dir}/made`).mode & 0o777, 0o700);
  fs.chmodSync(dir, 0o755);
  t.regex(socketFolder(dir)!, /others can see/);
  fs.chmodSync(dir, 0o711);
  t.is(socketFolder(dir), undefined);
  fs.chmodSync(dir, 0o770);
  t.throws(() => socketFolder(dir), { code: 'CURLING_SOCKET_FOLDER', message: /chmod 700/ });
  fs.chmodSync(dir, 0o1777);
  t.regex(socketFolder(dir)!, /others can see/);
  fs.writeFileSync(`${dir}/file`, randomBytes(1));
  t.throws(() => socketFolder(`${dir}/file/below`), { code: 'CURLING_SOCKET_FOLDER' });
});
