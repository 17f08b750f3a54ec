import net from 'node:net';
import test from 'ava';
import { QmpClient } from '../../common/qmp/client.ts';
import { initStore, WitnessStore } from '../../witness/store.ts';
import { A, B, connect, create, openStore, owner, serve, storePath, turn, VM } from './support.ts';

const UNREACHABLE = { code: 'CURLING_WITNESS_UNREACHABLE' };

test('a register through the wire is the register', async t => {
  const { store } = await openStore(t);
  const { address } = await serve(t, store);
  const client = connect(t, address);
  t.is(await client.storeId(), store.id);
  t.is(await client.read(VM), null);
  const created = await client.swap(create);
  t.true(created.swapped);
  t.deepEqual(await client.read(VM), created.register);
  t.false((await client.swap(create)).swapped);
  t.deepEqual((await client.swap(turn(1)[0])).register?.backup, B);
});

test('of two hosts that race for a generation, exactly one wins', async t => {
  const { store } = await openStore(t);
  const { address } = await serve(t, store);
  const [a, b] = [connect(t, address), connect(t, address)];
  await a.swap(create);
  const owners = [A, B];
  for (let generation = 1; generation < 40; generation += 2) {
    const [primary, backup] = owners as [typeof A, typeof A];
    const pair = { vm: VM, generation, transition: 'pair', by: primary, backup } as const;
    t.true((await a.swap(pair)).swapped);
    const base = { vm: VM, generation: generation + 1 };
    const requests = [
      a.swap({ ...base, transition: 'solo-by-primary', by: primary }),
      b.swap({ ...base, transition: 'solo-by-backup', by: backup }),
    ];
    const answers = await Promise.all(generation % 4 === 1 ? requests : requests.reverse());
    t.is(answers.filter(answer => answer.swapped).length, 1);
    const [one, two] = answers;
    t.deepEqual(one?.register, two?.register);
    if (one?.register?.primary.host === backup.host) owners.reverse();
  }
});

test('requests that are malformed are refused one by one', async t => {
  const { store } = await openStore(t);
  const { address } = await serve(t, store);
  const qmp = await QmpClient.connect(address);
  t.teardown(() => qmp.close());
  const refused = { code: 'CURLING_REGISTER' };
  await t.throwsAsync(qmp.execute('read', { vm: '../vm' }), refused);
  await t.throwsAsync(qmp.execute('swap', { ...create, by: 'me' }), refused);
  await t.throwsAsync(qmp.execute('swap', { ...create, generation: '0' }), refused);
  await t.throwsAsync(qmp.execute('create', { vm: VM }), refused);
  t.like(await qmp.execute('create', { vm: VM, primary: A }), { swapped: true });
  t.like(await qmp.execute('query-status'), { store: store.id, vms: 1 });
});

test('garbage, a huge line and silent clients disturb nobody', async t => {
  const { store } = await openStore(t);
  const { address, server } = await serve(t, store);
  const closed = (text: string) =>
    new Promise<void>(resolve => {
      const socket = net.connect({ ...address });
      socket.on('connect', () => socket.write(text));
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      socket.resume();
      t.teardown(() => socket.destroy());
    });
  for (let n = 0; n < 20; n++) void closed('');
  const garbage = closed('\x00\xff not json\n{"execute": 4}\n[]\n');
  await closed(`{"execute":"${'x'.repeat(10_000)}"}\n`);
  const client = connect(t, address);
  t.true((await client.swap(create)).swapped);
  t.is(server.counters.linesTooLong, 1);
  t.true(server.counters.malformed >= 3);
  await server.close();
  await garbage;
});

test('an unreachable witness is an error in time, and is found again when it is back', async t => {
  const { store } = await openStore(t);
  const first = await serve(t, store);
  const client = connect(t, first.address, { requestTimeoutMs: 2_000, backOffMs: 5 });
  t.true((await client.swap(create)).swapped);
  await first.server.close();
  await t.throwsAsync(client.read(VM), UNREACHABLE);
  t.false(client.connected);
  await serve(t, store, first.address.port);
  for (let tries = 0; tries < 100; tries++) {
    const register = await client.read(VM).catch(() => undefined);
    if (register) return t.is(register.generation, 1);
  }
  t.fail('never found again');
});

test('no answer is an unknown outcome, and ends the connection', async t => {
  const silent = net.createServer(socket => {
    const greeting = { QMP: { version: {}, capabilities: [] } };
    socket.write(`${JSON.stringify(greeting)}\n`);
    socket.on('error', () => {});
    socket.on('data', chunk => {
      for (const line of chunk.toString().trim().split('\n')) {
        const { execute, id } = JSON.parse(line);
        if (execute === 'swap') return;
        socket.write(`${JSON.stringify({ return: { store: 'a'.repeat(32) }, id })}\n`);
      }
    });
    t.teardown(() => socket.destroy());
  });
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const { port } = silent.address() as net.AddressInfo;
  const client = connect(t, { host: '127.0.0.1', port }, { requestTimeoutMs: 100 });
  await t.throwsAsync(client.swap(create), { ...UNREACHABLE, message: /did not answer swap/ });
  t.false(client.connected);
});

test('another store than configured, or seen first, is a lost memory', async t => {
  const { store } = await openStore(t);
  const { address, server } = await serve(t, store);
  const lost = { code: 'CURLING_WITNESS_STORE', message: /lost its memory/ };
  const configured = connect(t, address, { store: 'b'.repeat(32) });
  await t.throwsAsync(configured.read(VM), lost);
  const client = connect(t, address, { backOffMs: 5 });
  await client.swap(create);
  await server.close();
  const file = storePath(t);
  await initStore(file);
  const other = await WitnessStore.open(file);
  t.teardown(() => other.close());
  await serve(t, other, address.port);
  for (let tries = 0; tries < 100; tries++) {
    const error = await client.read(VM).then(
      () => t.fail('it believed another store'),
      thrown => thrown,
    );
    if (error?.code === 'CURLING_WITNESS_STORE') return t.regex(error.message, lost.message);
  }
  t.fail('never noticed');
});

test('an older generation than before is a lost memory', async t => {
  const { store } = await openStore(t);
  const { address } = await serve(t, store);
  const client = connect(t, address);
  await client.swap(create);
  await client.swap(turn(1)[0]);
  const register = { ...(await store.read(VM)), generation: 1, mode: 'SOLO', backup: null };
  store.read = async () => register as never;
  await t.throwsAsync(client.read(VM), { code: 'CURLING_WITNESS_STORE', message: /was at 2/ });
});

test('an answer about another VM is refused', async t => {
  const { store } = await openStore(t);
  const { address } = await serve(t, store);
  const client = connect(t, address);
  await client.swap({ ...create, by: owner('c', 3) });
  const register = await store.read(VM);
  store.read = async () => register;
  await t.throwsAsync(client.read('other'), { code: 'CURLING_REGISTER' });
});
