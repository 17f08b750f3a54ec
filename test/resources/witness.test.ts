import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { TcpAddress } from '../../common/options.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { initStore, WitnessStore } from '../../witness/store.ts';
import { freePort, until } from '../coordinator/bench.ts';
import { connect, create, storePath, turn, VM } from '../witness/support.ts';
import { fill, noMoreFiles, SlowDisk, smallMount, strangersTo } from './limits.ts';

const MAIN = fileURLToPath(new URL('../../witness/main.js', import.meta.url));
const UNREACHABLE = { code: 'CURLING_WITNESS_UNREACHABLE' };

interface Running {
  child: ChildProcess;
  address: TcpAddress;
  said: () => string;
}

async function start(t: ExecutionContext, file: string, env = process.env): Promise<Running> {
  const address = { host: '127.0.0.1', port: await freePort() };
  const args = [MAIN, '--listen', `${address.host}:${address.port}`, '--store', file];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], env });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', chunk => {
    said += chunk;
  });
  await until('it serves', () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${said}`);
    return said.includes('"serving"');
  });
  return { child, address, said: () => said };
}

test('a witness on a full disk grants nothing and ends with status 4; with room again it knows all it answered (needs root)', async t => {
  const mount = smallMount(t, 64);
  const file = path.join(mount, 'store');
  await initStore(file);
  const { child, address, said } = await start(t, file);
  const ended = once(child, 'exit');
  const client = connect(t, address, { backOffMs: 5 });
  t.true((await client.swap(create)).swapped);
  const empty = fill(mount);
  // What is left of the last block of the file may take some more transitions: they are answered, and so on disk.
  let answered = 1;
  let refused: unknown;
  for (let generation = 1; !refused && generation < 200; generation += 2) {
    for (const request of turn(generation)) {
      const result = await client.swap(request).catch(error => {
        refused = error;
      });
      if (!result) break;
      t.true(result.swapped);
      answered = result.register!.generation;
    }
  }
  t.regex(String(refused), /CURLING_WITNESS_(STORE|UNREACHABLE)|cannot be written|did not answer/);
  t.deepEqual(await ended, [4, null]);
  t.regex(said(), /CURLING_WITNESS_STORE.*ENOSPC/);
  client.close();

  // It still reads, and refuses the next change again: nothing was granted without being on disk.
  const still = await start(t, file);
  const asking = connect(t, still.address, { backOffMs: 5 });
  t.is((await asking.read(VM))?.generation, answered);
  asking.close();
  still.child.kill('SIGTERM');
  await once(still.child, 'exit');
  empty();
  const store = await WitnessStore.open(file);
  t.teardown(() => store.close());
  const requests = turn(answered % 2 === 1 ? answered : answered - 1);
  t.true((await store.swap(requests[answered % 2 === 1 ? 0 : 1])).swapped);
});

test('a witness whose disk does not answer leaves outcomes unknown, and says what was decided when it does (needs gcc)', async t => {
  const file = storePath(t);
  await initStore(file);
  const disk = new SlowDisk(t);
  const { child, address } = await start(t, file, disk.env);
  const client = connect(t, address, { backOffMs: 5, requestTimeoutMs: 300 });
  t.true((await client.swap(create)).swapped);
  disk.stall();
  await t.throwsAsync(client.swap(turn(1)[0]), UNREACHABLE);
  // A reader must not be told what a loss of power could still take back.
  await t.throwsAsync(client.read(VM), UNREACHABLE);
  t.is(child.exitCode, null);
  disk.go();
  let generation = 0;
  await until('an answer', async () => {
    const register = await client.read(VM).catch(() => undefined);
    generation = register?.generation ?? 0;
    return register !== undefined;
  });
  // The request was sent, and nobody took it back: what was unknown was a grant.
  t.is(generation, 2);
  t.false((await client.swap(turn(1)[0])).swapped);
});

test('a witness without descriptors lets nobody in, answers those who are, and goes on afterwards (needs root)', async t => {
  const file = storePath(t);
  await initStore(file);
  const { child, address } = await start(t, file);
  const client = connect(t, address, { backOffMs: 5 });
  t.true((await client.swap(create)).swapped);
  const more = noMoreFiles(child.pid!);
  const strangers = strangersTo(t, address);
  // A descriptor or two may have been free for a moment.
  await until('strangers are turned away', () => strangers.filter(s => s.closed).length > 8);
  t.true((await client.swap(turn(1)[0])).swapped);
  t.is((await client.read(VM))?.generation, 2);
  t.is(child.exitCode, null);
  for (const socket of strangers) socket.destroy();
  more();
  const late = await QmpClient.connect(address);
  t.teardown(() => late.close());
  const status = (await late.execute('query-status')) as { wire: { acceptErrors: number } };
  t.log(`${status.wire.acceptErrors} times it could not accept`);
  t.true(fs.existsSync(file));
});
