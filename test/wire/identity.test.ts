/** Who is proven to be one host does not get through as another one. */
import test, { type ExecutionContext } from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import type { Credentials } from '../../common/wire/credentials.ts';
import { dialBackup } from '../../coordinator/replication/dial.ts';
import { BackupListener } from '../../coordinator/replication/listener.ts';
import { witnessServer } from '../../witness/service.ts';
import { RECEIVER, SENDER } from '../replication/fixtures.ts';
import { LAYOUT, ListSink } from '../replication/world.ts';
import { create, openStore, turn, VM } from '../witness/support.ts';
import { keyFile, keysOf } from './rig.ts';

async function backup(t: ExecutionContext, host: string, credentials: Credentials | undefined) {
  const ignore = () => {};
  const listener = new BackupListener(
    { vm: 'vm1', host, credentials, incarnation: () => RECEIVER, sink: () => new ListSink() },
    {
      hello: async () => {},
      ...{ full: ignore, committed: ignore, heard: ignore, guestLost: ignore },
      ...{ bye: ignore, closed: ignore },
    },
  );
  await listener.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => listener.close());
  return listener;
}

/** How a primary that says it is `host` is received: `welcome HOST`, or the code of its end. */
function dial(
  t: ExecutionContext,
  port: number,
  host: string,
  credentials: Credentials | undefined,
): Promise<string> {
  return new Promise(resolve => {
    const session = dialBackup(
      {
        ...{ address: { host: '127.0.0.1', port }, vm: 'vm1', host, credentials },
        ...{ generation: 0, epoch: 0, guest: {}, sender: SENDER },
        mainBytes: LAYOUT.blocks[0]!.bytes,
      },
      {
        welcome: welcome => resolve(`welcome ${welcome.host}`),
        closed: error => resolve(error?.code ?? 'well'),
        ...{ ack: () => {}, windowOpen: () => {}, heard: () => {} },
        ...{ refused: () => {}, bye: () => {} },
      },
    );
    t.teardown(() => session.channel.destroy());
  });
}

test('HELLO and WELCOME must be of the host that the connection has proven', async t => {
  const file = keyFile(t, 'a', 'b', 'c');
  const b = await backup(t, 'b', keysOf(file, 'b'));
  t.is(await dial(t, b.port, 'a', keysOf(file, 'c')), 'CURLING_IDENTITY');
  t.is(b.counters.failed.CURLING_IDENTITY, 1);
  t.is(b.counters.admitted, 0);
  t.is(await dial(t, b.port, 'a', undefined), 'CURLING_CONNECTION_LOST');
  t.is(await dial(t, b.port, 'a', keysOf(file, 'a')), 'welcome b');

  // A backup that calls itself what no key is for.
  const liar = await backup(t, 'x', keysOf(file, 'b'));
  t.is(await dial(t, liar.port, 'a', keysOf(file, 'a')), 'CURLING_IDENTITY');
  const plain = await backup(t, 'b', undefined);
  t.regex(await dial(t, plain.port, 'a', keysOf(file, 'a')), /^CURLING_(TLS|CONNECT)$/);
});

test('the witness gives a machine to nobody but who has proven to be the host', async t => {
  const { store } = await openStore(t);
  const file = keyFile(t, 'a', 'b');
  const server = witnessServer(store, { credentials: keysOf(file) });
  await server.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close());
  const address = { host: '127.0.0.1', port: server.port };
  const as = async (host: string) => {
    const client = await QmpClient.connect(address, { credentials: keysOf(file, host) });
    t.teardown(() => client.close());
    return client;
  };
  const [a, b] = [await as('a'), await as('b')];
  const identity = { code: 'CURLING_IDENTITY' };
  await t.throwsAsync(b.execute('swap', { ...create }), identity);
  await t.throwsAsync(b.execute('create', { vm: VM, primary: create.by }), identity);
  t.is(await store.read(VM), null);
  t.like(await a.execute('swap', { ...create }), { swapped: true });
  const [pair] = turn(1);
  await t.throwsAsync(b.execute('swap', { ...pair }), identity);
  t.like(await a.execute('swap', { ...pair }), { swapped: true });
  const solo = { vm: VM, generation: 2, transition: 'solo-by-backup', by: pair.backup };
  await t.throwsAsync(a.execute('swap', solo), identity);
  // Whoever has a key may read.
  t.like(await b.execute('read', { vm: VM }), { register: { generation: 2 } });
  t.like(await b.execute('query-status'), { wire: { identitiesRefused: 4, authenticated: 2 } });
  t.like(await b.execute('swap', solo), { swapped: true });

  const tls = { code: 'CURLING_TLS' };
  const stranger = keysOf(keyFile(t, 'c'), 'c');
  await t.throwsAsync(QmpClient.connect(address, { credentials: stranger }), tls);
  const refused = QmpClient.connect(address, { connectTimeoutMs: 20_000 });
  await t.throwsAsync(refused, { code: 'CURLING_CONNECT' });
});
