/** The beginning of a machine's life: `curling-coordinator create`, and the coordinator that goes on with its guest. */
import fs from 'node:fs';
import test from 'ava';
import { createRequest } from '../../coordinator/arbitration/host-start.ts';
import { Bench, type Program, VM } from './bench.ts';

const CREATED = new RegExp(`^${VM} is created: generation 1, on a\\. `, 'm');

function create(bench: Bench): Program {
  return bench.start('backup', {}, ['create']);
}

test('it creates once, ends, and the coordinator after it goes on with the guest', async t => {
  const bench = await Bench.create(t);
  const guest = await bench.guest();
  // The proxy is not needed for it.
  await bench.proxy.close();
  const first = create(bench);
  t.is(await first.end(), 0, first.said);
  t.regex(first.said, CREATED);
  const register = await bench.store.read(VM);
  t.like(register, { generation: 1, primary: { host: 'a' } });

  await bench.proxy.listen(t, bench.path('proxy.sock'));
  await bench.serving('backup', { qmp: undefined });
  t.like(await bench.status(), { state: 'SOLO', generation: 1 });
  t.deepEqual(await bench.store.read(VM), register);
  t.true(bench.released);
  t.false(guest.said.includes('quit'));
  const meanwhile = create(bench);
  t.is(await meanwhile.end(), 4, meanwhile.said);
  t.regex(meanwhile.said, /CURLING_SOCKET_IN_USE/);
});

test('it can be repeated when its answer was lost', async t => {
  const bench = await Bench.create(t);
  await bench.guest();
  for (const start of [create, create]) {
    const attempt = start(bench);
    t.is(await attempt.end(), 0, attempt.said);
    t.regex(attempt.said, CREATED);
  }
  t.like(await bench.store.read(VM), { generation: 1 });
});

test('it is refused when the machine has a register, and changes nothing', async t => {
  const bench = await Bench.create(t);
  const guest = await bench.guest();
  const other = { host: 'z', incarnation: 'f'.repeat(32) };
  await bench.store.swap(createRequest(VM, other));
  const before = await bench.store.read(VM);
  const refused = create(bench);
  t.is(await refused.end(), 1, refused.said);
  t.regex(refused.said, /CURLING_REGISTER: .*created once/);
  t.deepEqual(await bench.store.read(VM), before);
  t.false(guest.said.includes('quit'));
  t.false(bench.released);
});

test('it is refused for another guest than the one that it was done for', async t => {
  const bench = await Bench.create(t);
  const guest = await bench.guest();
  const first = create(bench);
  t.is(await first.end(), 0, first.said);
  await guest.close();
  fs.rmSync(bench.path('qmp.sock'), { force: true });
  await bench.guest();
  const second = create(bench);
  t.is(await second.end(), 1, second.said);
  t.regex(second.said, /CURLING_REGISTER/);
});

test('without a guest nothing is created', async t => {
  const bench = await Bench.create(t);
  const refused = create(bench);
  t.is(await refused.end(), 1, refused.said);
  t.regex(refused.said, /CURLING_CONNECT: .*qmp\.sock/);
  t.is(await bench.store.read(VM), null);
});
