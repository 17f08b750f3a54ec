/** What only a register in etcd can do wrong: several endpoints, two steps, TLS, an empty cluster. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { EtcdClient } from '../../coordinator/arbitration/etcd-client.ts';
import { STORE_KEY, vmKey } from '../../coordinator/arbitration/etcd-messages.ts';
import { EtcdRegister } from '../../coordinator/arbitration/etcd-register.ts';
import { HAS_ETCD } from '../../lab/etcd.ts';
import { inRepository } from '../../lab/paths.ts';
import { freePort } from '../coordinator/bench.ts';
import { A, B, create, turn, VM } from '../witness/support.ts';
import { Gateway, isWrite, relay } from './gateway.ts';
import { EtcdKind, PATIENCE_MS, ProcessRig } from './rigs.ts';

/** Where it counts, a missing etcd is a failure. */
const WANTED = HAS_ETCD || process.env.CI !== undefined;

const UNREACHABLE = { code: 'CURLING_WITNESS_UNREACHABLE' };
const LOST = { code: 'CURLING_WITNESS_STORE' };
const RUBBISH = { code: 'CURLING_REGISTER' };
const real = WANTED ? test.serial : test.serial.skip;

let shared: ProcessRig<EtcdKind> | undefined;
test.after.always('end', async () => shared?.close());

async function etcd(): Promise<ProcessRig<EtcdKind>> {
  shared ??= await ProcessRig.create(new EtcdKind(false));
  return shared;
}

/** An etcd of this test alone. */
async function ownEtcd(t: ExecutionContext, secure = false): Promise<ProcessRig<EtcdKind>> {
  const rig = await ProcessRig.create(new EtcdKind(secure));
  t.teardown(() => rig.close());
  return rig;
}

function open(
  t: ExecutionContext,
  endpoints: readonly URL[],
  requestTimeoutMs = PATIENCE_MS,
): EtcdRegister {
  const register = new EtcdRegister({ endpoints }, { requestTimeoutMs });
  t.teardown(() => register.close());
  return register;
}

const at = (port: number) => new URL(`http://127.0.0.1:${port}`);

/** Runs curling-witness with etcd to its end. */
async function command(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const child = spawn(process.execPath, [inRepository('build/witness/main.js'), ...args], {
    timeout: PATIENCE_MS,
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', chunk => {
    said.out += chunk;
  });
  child.stderr.on('data', chunk => {
    said.err += chunk;
  });
  child.stdin.end();
  const [status] = await once(child, 'close');
  return { status, ...said };
}

/** Writes a key, whatever is there. */
async function put(t: ExecutionContext, port: number, key: string, value: string): Promise<void> {
  const client = new EtcdClient({ endpoints: [at(port)] }, PATIENCE_MS);
  t.teardown(() => client.close());
  const written = { put: { key, value }, ranges: [] };
  await client.ask('put', deadlineMs => client.transact(written, deadlineMs));
}

real('an endpoint that is down, or hangs, is passed over, and then put last', async t => {
  const { port } = await etcd();
  const hangs = await Gateway.open(t, async () => undefined);
  const register = open(t, [at(await freePort()), hangs.url, at(port)], 3_000);
  t.true((await register.swap({ ...create, vm: 'endpoints' })).swapped);
  t.is(hangs.bodies.length, 1, 'asked once, and not for the write');
  t.is(hangs.writes, 0);
  t.is((await register.read('endpoints'))?.generation, 1);
  t.is(hangs.bodies.length, 1);
  t.true(register.counters.connectFailures >= 1);
});

real('a write that may have been delivered is not repeated elsewhere', async t => {
  const { port } = await etcd();
  const lazy = await Gateway.open(t, async body => {
    const answer = await relay(port, body);
    return isWrite(body) ? undefined : answer;
  });
  const other = await Gateway.open(t, body => relay(port, body));
  const register = open(t, [lazy.url, other.url], 2_000);
  await t.throwsAsync(register.swap({ ...create, vm: 'late' }), {
    ...UNREACHABLE,
    message: /did not answer swap: no answer within/,
  });
  t.is(lazy.writes, 1);
  t.is(other.writes, 0);
  t.is((await register.read('late'))?.generation, 1, 'it was done');
  t.is(other.bodies.length, 1, 'the other endpoint is asked first now');
});

real('an error instead of the answer to a write leaves the outcome unknown', async t => {
  const { port } = await etcd();
  const failing = await Gateway.open(t, async body => {
    const answer = await relay(port, body);
    if (!isWrite(body)) return answer;
    return { status: 503, text: '{"error":"etcdserver: request timed out","code":14}' };
  });
  const register = open(t, [failing.url, at(port)]);
  await t.throwsAsync(register.swap({ ...create, vm: 'timed-out' }), {
    ...UNREACHABLE,
    message: /HTTP 503: etcdserver: request timed out/,
  });
  t.is((await register.read('timed-out'))?.generation, 1);
});

real('who loses the race between the question and the write is told who won', async t => {
  const { port } = await etcd();
  const winner = open(t, [at(port)]);
  const vm = 'race';
  await winner.swap({ ...create, vm });
  const gateway = await Gateway.open(t, async body => {
    if (isWrite(body)) await winner.swap(turn(1, vm)[0]);
    return relay(port, body);
  });
  const loser = open(t, [gateway.url]);
  const answer = await loser.swap({ ...turn(1, vm)[0], backup: { ...B, host: 'c' } });
  t.false(answer.swapped);
  t.like(answer.register, { generation: 2, mode: 'PAIR', backup: B });
});

real('a store that is replaced between the question and the write is not written to', async t => {
  const rig = await ownEtcd(t);
  const register = open(t, [at(rig.port)]);
  await register.swap(create);
  const gateway = await Gateway.open(t, async body => {
    if (isWrite(body)) await put(t, rig.port, STORE_KEY, 'c'.repeat(32));
    return relay(rig.port, body);
  });
  await t.throwsAsync(open(t, [gateway.url]).swap(turn(1)[0]), LOST);
  const client = new EtcdClient({ endpoints: [at(rig.port)] }, PATIENCE_MS);
  t.teardown(() => client.close());
  const { found } = await client.ask('read', deadlineMs =>
    client.transact({ ranges: [vmKey(VM)] }, deadlineMs),
  );
  t.regex(found[0]!.value, /"generation":1/);
});

real('all endpoints down is an error in time that names them', async t => {
  const ports = [await freePort(), await freePort()];
  const register = open(t, ports.map(at), 2_000);
  const error = await t.throwsAsync(register.swap(create), UNREACHABLE);
  for (const port of ports) t.true(error!.message.includes(`127.0.0.1:${port}`), error!.message);
  t.false(register.connected);
});

real('an empty etcd is refused by name; emptied, it has lost its memory', async t => {
  const rig = await ownEtcd(t);
  const knows = open(t, [at(rig.port)]);
  await knows.swap(create);
  const cluster = async () => JSON.parse((await relay(rig.port, '{}')).text).header.cluster_id;
  const before = await cluster();
  await rig.stop();
  rig.wipe();
  await rig.start();
  t.is(await cluster(), before, 'the id of the cluster proves nothing');
  await t.throwsAsync(knows.read(VM), { ...LOST, message: /lost its memory: it has no store/ });
  await t.throwsAsync(knows.swap(create), LOST);
  const fresh = open(t, [at(rig.port)]);
  const empty = { code: 'CURLING_WITNESS_EMPTY', message: /curling-witness init --etcd/ };
  await t.throwsAsync(fresh.read(VM), empty);
  await t.throwsAsync(fresh.swap(create), empty);
  await t.throwsAsync(fresh.storeId(), empty);
});

real('TLS: a server that another authority signed, and a client without a certificate', async t => {
  const rig = await ownEtcd(t, true);
  const good = rig.kind.config();
  const other = await ownEtcd(t, true);
  const { ca } = other.kind.config();
  const config = { endpoints: good.endpoints, ca: good.ca! };
  for (const wrong of [{ ...good, ca: ca! }, { endpoints: good.endpoints }, config]) {
    const register = new EtcdRegister(wrong, { requestTimeoutMs: 2_000 });
    t.teardown(() => register.close());
    await t.throwsAsync(register.read(VM), UNREACHABLE);
  }
  const register = new EtcdRegister(good, { requestTimeoutMs: PATIENCE_MS });
  t.teardown(() => register.close());
  t.is(await register.read(VM), null);
});

real('curling-witness init makes one store, and says when there is one', async t => {
  const rig = await ownEtcd(t);
  await rig.stop();
  rig.wipe();
  await rig.start();
  const url = ['--etcd', `http://127.0.0.1:${rig.port}`];
  const first = await command('init', ...url);
  t.is(first.status, 0, first.err);
  t.regex(first.out, /^[0-9a-f]{32}\n$/);
  t.is(first.err, '');
  const second = await command('init', ...url);
  t.is(second.status, 0);
  t.is(second.out, first.out);
  t.regex(second.err, /has a store already/);
  t.is(`${await open(t, [at(rig.port)]).storeId()}\n`, first.out);
});

real('curling-witness forget, in etcd: only what is there, and what was shown', async t => {
  const { port } = await etcd();
  const vm = 'forgotten';
  const url = ['--etcd', `http://127.0.0.1:${port}`];
  const register = open(t, [at(port)]);
  const never = await command('forget', vm, ...url, '--yes');
  t.is(never.status, 1);
  t.regex(never.err, /CURLING_REGISTER: etcd at .* never had a register of forgotten/);
  await register.swap({ ...create, vm });
  const asks = await command('forget', vm, ...url);
  t.is(asks.status, 2);
  t.regex(asks.err, /CURLING_USAGE/);
  t.is((await register.read(vm))?.generation, 1);
  await t.throwsAsync(register.forget(vm, 2), RUBBISH);
  const done = await command('forget', vm, ...url, '--yes');
  t.is(done.status, 0, done.err);
  t.is(done.out, 'forgotten is forgotten; --create begins with generation 3\n');
  t.true(done.err.includes(A.incarnation), 'it shows what it forgets');
  t.is(await register.read(vm), null);
  const again = await command('forget', vm, ...url, '--yes');
  t.regex(again.err, /forgotten already, in generation 2/);
});

real('a forgetting that comes between is not undone by a late request', async t => {
  const { port } = await etcd();
  const vm = 'between';
  const operator = open(t, [at(port)]);
  await operator.swap({ ...create, vm });
  const gateway = await Gateway.open(t, async body => {
    if (isWrite(body)) await operator.forget(vm, 1);
    return relay(port, body);
  });
  const late = open(t, [gateway.url]);
  t.deepEqual(await late.swap(turn(1, vm)[0]), { swapped: false, register: null });
});

test('rubbish from an endpoint is refused, and the next one asked', async t => {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const kv = (key: string, value: string, revision = '3') => ({
    response_range: { kvs: [{ key: base64(key), value: base64(value), mod_revision: revision }] },
  });
  const id = 'a'.repeat(32);
  const register = { store: id, vm: VM, generation: 1, mode: 'SOLO', primary: A, backup: null };
  const answer = (...responses: unknown[]) => JSON.stringify({ succeeded: true, responses });
  const good = answer(kv(STORE_KEY, id), kv(vmKey(VM), JSON.stringify(register)));
  const gateway = await Gateway.open(t, async () => ({ text: good }));
  t.deepEqual(await open(t, [gateway.url]).read(VM), register);
  const rubbish = [
    ...['', 'no JSON', '[]', '{}', '{"succeeded":"yes"}', answer(), answer({}, {}), answer(1, 2)],
    answer(kv(STORE_KEY, id)),
    answer(kv(STORE_KEY, 'short'), { response_range: {} }),
    answer(kv('other', id), { response_range: {} }),
    answer(kv(STORE_KEY, id), kv(vmKey(VM), 'no JSON')),
    answer(kv(STORE_KEY, id), kv(vmKey(VM), JSON.stringify({ ...register, vm: 'x' }))),
    answer(kv(STORE_KEY, id), kv(vmKey(VM), JSON.stringify({ ...register, generation: 0 }))),
    answer(kv(STORE_KEY, id), kv(vmKey(VM), JSON.stringify(register), '0')),
    answer(kv(STORE_KEY, id), {
      response_range: { kvs: [{ key: base64(vmKey(VM)), value: '*' }] },
    }),
  ];
  for (const text of rubbish) {
    gateway.answer = async () => ({ text });
    await t.throwsAsync(open(t, [gateway.url]).read(VM), RUBBISH, text);
    await t.throwsAsync(open(t, [gateway.url]).swap(turn(1)[0]), RUBBISH, text);
  }
  gateway.answer = async () => ({ text: ' '.repeat(10_000), endless: true });
  const tooLong = { ...UNREACHABLE, message: /more than 65536 bytes/ };
  await t.throwsAsync(open(t, [gateway.url]).read(VM), tooLong);
  gateway.answer = async () => ({ status: 404, text: '<html>nothing here</html>' });
  const notFound = { ...UNREACHABLE, message: /HTTP 404: "<html>/ };
  await t.throwsAsync(open(t, [gateway.url]).read(VM), notFound);
  const other = await Gateway.open(t, async () => ({ text: good }));
  t.deepEqual(await open(t, [gateway.url, other.url]).read(VM), register);
});

test('too many requests at once are refused, and a close ends those under way', async t => {
  const hangs = await Gateway.open(t, async () => undefined);
  const register = open(t, [hangs.url]);
  const asked = Array.from({ length: 8 }, () => t.throwsAsync(register.read(VM), UNREACHABLE));
  await t.throwsAsync(register.read(VM), { code: 'CURLING_BUSY' });
  while (hangs.bodies.length < 8) await sleep(10);
  register.close();
  const errors = await Promise.all(asked);
  for (const error of errors) t.regex(error!.message, /closed here/);
});
