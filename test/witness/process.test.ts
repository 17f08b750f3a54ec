import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { TcpAddress } from '../../common/options.ts';
import { freePort } from '../ports.ts';
import { connect, create, storePath, turn, VM } from './support.ts';

const MAIN = fileURLToPath(new URL('../../witness/main.js', import.meta.url));

/** Runs curling-witness to its end. */
async function runToEnd(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { timeout: 20_000 });
  let out = '';
  let err = '';
  child.stdout.on('data', chunk => {
    out += chunk;
  });
  child.stderr.on('data', chunk => {
    err += chunk;
  });
  const [status] = await once(child, 'close');
  return { status, out, err };
}

/** Starts curling-witness and waits until it says that it serves. */
async function start(t: ExecutionContext, file: string, port: number): Promise<ChildProcess> {
  const args = [MAIN, '--listen', `127.0.0.1:${port}`, '--store', file];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  for await (const chunk of child.stderr) {
    said += chunk;
    if (said.includes('"serving"')) break;
  }
  t.regex(said, /"serving"/);
  return child;
}

async function initialised(t: ExecutionContext): Promise<{ file: string; address: TcpAddress }> {
  const file = storePath(t);
  const { status, out } = await runToEnd('init', '--store', file);
  t.is(status, 0);
  t.regex(out, /^[0-9a-f]{32}\n$/);
  return { file, address: { host: '127.0.0.1', port: await freePort() } };
}

test('wrong command lines and missing stores end with their status and say what to do', async t => {
  const file = storePath(t);
  const listen = ['--listen', `127.0.0.1:${await freePort()}`];
  t.is((await runToEnd('--store', file)).status, 2);
  t.is((await runToEnd('init')).status, 2);
  t.is((await runToEnd('destroy', '--store', file)).status, 2);
  const empty = await runToEnd(...listen, '--store', file);
  t.is(empty.status, 4);
  t.regex(empty.err, /CURLING_WITNESS_EMPTY: .*curling-witness init --store/);
});

test('two witnesses on one store: the second refuses', async t => {
  const { file, address } = await initialised(t);
  await start(t, file, address.port);
  const second = await runToEnd('--listen', `127.0.0.1:${await freePort()}`, '--store', file);
  t.is(second.status, 4);
  t.regex(second.err, /CURLING_WITNESS_STORE: .*in use/);
});

test('forget: refused while served and without an answer; then the name is free', async t => {
  const { file, address } = await initialised(t);
  const child = await start(t, file, address.port);
  const client = connect(t, address, { backOffMs: 5, requestTimeoutMs: 5_000 });
  t.true((await client.swap(create)).swapped);
  const served = await runToEnd('forget', VM, '--store', file, '--yes');
  t.is(served.status, 4);
  t.regex(served.err, /CURLING_WITNESS_STORE: .*in use/);
  child.kill('SIGTERM');
  await once(child, 'exit');

  t.is((await runToEnd('forget', '--store', file, '--yes')).status, 2);
  t.is((await runToEnd('forget', VM, 'other', '--store', file, '--yes')).status, 2);
  const unasked = await runToEnd('forget', VM, '--store', file);
  t.is(unasked.status, 2);
  t.regex(unasked.err, /CURLING_USAGE: .*--yes/);
  const unknown = await runToEnd('forget', 'other', '--store', file, '--yes');
  t.is(unknown.status, 1);
  t.regex(unknown.err, /CURLING_REGISTER: .*other/);

  const done = await runToEnd('forget', VM, '--store', file, '--yes');
  t.is(done.status, 0);
  t.regex(done.err, /generation 1, SOLO/);
  t.is(done.out, 'vm is forgotten; --create begins with generation 3\n');
  await start(t, file, address.port);
  const register = await client.read(VM).catch(() => client.read(VM));
  t.is(register, null);
  t.is((await client.swap(create)).register?.generation, 3);
});

test('SIGTERM ends it with status 0', async t => {
  const { file, address } = await initialised(t);
  const child = await start(t, file, address.port);
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'exit'), [0, null]);
});

test('killed in the middle of writing, it remembers all that it answered', async t => {
  const { file, address } = await initialised(t);
  const client = connect(t, address, { backOffMs: 5, requestTimeoutMs: 5_000 });
  let answered = 0;
  for (let life = 0; life < 4; life++) {
    const child = await start(t, file, address.port);
    const register = await client.read(VM).catch(() => client.read(VM));
    const generation = register?.generation ?? 0;
    t.true(generation >= answered, `at ${generation}, had answered ${answered}`);
    // One more than was answered may have been written: its outcome was unknown.
    t.true(generation <= answered + 1);
    answered = generation;
    const ended = once(child, 'exit');
    const goal = answered + 5 + 7 * life;
    for (;;) {
      const [pair, solo] = turn(answered % 2 === 1 ? answered : answered - 1);
      const request = answered === 0 ? create : answered % 2 === 1 ? pair : solo;
      const result = await client.swap(request).catch(() => undefined);
      if (!result) break;
      t.true(result.swapped);
      answered = result.register?.generation ?? 0;
      // Sent while the next request is under way.
      if (answered === goal) setImmediate(() => child.kill('SIGKILL'));
    }
    await ended;
  }
  t.true(answered > 20);
});
