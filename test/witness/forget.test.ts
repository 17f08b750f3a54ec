import fs from 'node:fs';
import { PassThrough } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import type { SwapRequest } from '../../coordinator/arbitration/register.ts';
import { forgetVm, type Terminal } from '../../witness/forget.ts';
import { WitnessStore } from '../../witness/store.ts';
import { A, B, connect, create, openStore, owner, serve, turn, VM } from './support.ts';

const UNKNOWN = { code: 'CURLING_REGISTER' };
const C = owner('c', 3);
const createByC: SwapRequest = { ...create, by: C };

/** Everything that a former owner may have asked for, in the generations around it. */
const LATE: SwapRequest[] = [1, 2, 3, 4, 5, 6].flatMap(generation => [
  { vm: VM, generation, transition: 'pair', by: A, backup: B },
  { vm: VM, generation, transition: 'solo-by-primary', by: A },
  { vm: VM, generation, transition: 'solo-by-backup', by: B },
]);

/** A store whose VM is the pair of A and B in generation 4. */
async function paired(t: ExecutionContext) {
  const opened = await openStore(t);
  for (const request of [create, ...turn(1), turn(3)[0]])
    t.true((await opened.store.swap(request)).swapped);
  return opened;
}

/** The same, closed, for the command. */
async function pairedFile(t: ExecutionContext): Promise<string> {
  const { file, store } = await paired(t);
  await store.close();
  return file;
}

async function reopen(t: ExecutionContext, file: string): Promise<WitnessStore> {
  const store = await WitnessStore.open(file);
  t.teardown(() => store.close());
  return store;
}

/** A terminal at which this is typed, and what it showed. */
function terminal(typed: string): Terminal & { shown(): string } {
  const output = new PassThrough();
  const input = Object.assign(new PassThrough(), { isTTY: true });
  input.end(typed);
  return { input, output, shown: () => String(output.read() ?? '') };
}

test('forgotten and created again: above all that was before, also after reopening', async t => {
  const { file, store } = await paired(t);
  t.is(await store.forget(VM), 5);
  t.is(await store.read(VM), null);
  t.is(store.vms, 0);
  await store.close();
  const again = await reopen(t, file);
  t.is(await again.read(VM), null);
  t.is(again.forgottenIn(VM), 5);
  const { register } = await again.swap(createByC);
  t.like(register, { generation: 6, mode: 'SOLO', primary: C, backup: null });
  t.is(again.forgottenIn(VM), 0);
  await again.close();
  t.deepEqual(await (await reopen(t, file)).read(VM), register);
});

test('what the former owners asked for comes too late, before and after a new life', async t => {
  const { store } = await paired(t);
  await store.forget(VM);
  for (const late of LATE) t.deepEqual(await store.swap(late), { swapped: false, register: null });
  const { register } = await store.swap(createByC);
  for (const late of [...LATE, create])
    t.deepEqual(await store.swap(late), { swapped: false, register });
});

test('only a register can be forgotten, and once', async t => {
  const { store } = await paired(t);
  await t.throwsAsync(store.forget('other'), UNKNOWN);
  await store.forget(VM);
  await t.throwsAsync(store.forget(VM), UNKNOWN);
  t.is(store.forgottenIn('other'), 0);
});

test('cut at any byte of its line, a forgetting is done or not begun', async t => {
  const { file, store } = await paired(t);
  const before = store.bytes;
  await store.forget(VM);
  await store.close();
  const bytes = fs.readFileSync(file);
  t.true(bytes.length > before);
  for (let cut = before; cut <= bytes.length; cut++) {
    fs.writeFileSync(file, bytes.subarray(0, cut));
    const again = await WitnessStore.open(file);
    const done = cut >= bytes.length - 1;
    t.is((await again.read(VM))?.generation, done ? undefined : 4, `cut at ${cut}`);
    t.is(again.forgottenIn(VM), done ? 5 : 0, `cut at ${cut}`);
    await again.close();
  }
  fs.writeFileSync(file, bytes.toString().replace('FORGOTTEN', 'FORGOTTEM'));
  await t.throwsAsync(WitnessStore.open(file), { code: 'CURLING_WITNESS_STORE' });
});

test('compacting keeps the generation of the forgotten, and they count', async t => {
  const { file, store } = await openStore(t, { vmsMax: 2, compactBytes: 1_500 });
  await store.swap({ ...create, vm: 'gone' });
  await store.forget('gone');
  await store.swap(create);
  await t.throwsAsync(store.swap({ ...create, vm: 'third' }), { code: 'CURLING_BUSY' });
  for (let generation = 1; generation < 21; generation += 2)
    for (const request of turn(generation)) await store.swap(request);
  t.true(store.counters.compactions > 0);
  await store.close();
  const again = await reopen(t, file);
  t.is(again.forgottenIn('gone'), 2);
  t.is((await again.swap({ ...create, vm: 'gone' })).register?.generation, 3);
});

test('a host that knew the register takes its absence for forgotten, not for lost', async t => {
  const { store } = await paired(t);
  const { address } = await serve(t, store);
  const client = connect(t, address);
  t.is((await client.read(VM))?.generation, 4);
  await store.forget(VM);
  t.is(await client.read(VM), null);
  t.deepEqual(await client.swap(turn(3)[1]), { swapped: false, register: null });
  const { swapped, register } = await client.swap(createByC);
  t.true(swapped);
  t.is(register?.generation, 6);
  t.deepEqual(await client.read(VM), register);
});

test('an absent register below the known generation is a lost memory all the same', async t => {
  const { store } = await paired(t);
  const { address } = await serve(t, store);
  const client = connect(t, address);
  await client.read(VM);
  await store.forget(VM);
  const lost = { code: 'CURLING_WITNESS_STORE', message: /lost its memory/ };
  for (const generation of [0, 3]) {
    store.forgottenIn = () => generation;
    await t.throwsAsync(client.read(VM), lost);
    await t.throwsAsync(client.swap(turn(3)[1]), lost);
  }
  // Where the forgetting was heard of, the generation of the register itself is too old as well.
  store.forgottenIn = () => 5;
  t.is(await client.read(VM), null);
  store.forgottenIn = () => 4;
  await t.throwsAsync(client.read(VM), lost);
});

test('the command shows the register and its danger, and asks for the name', async t => {
  const file = await pairedFile(t);
  const screen = terminal(`${VM}\n`);
  t.is(await forgetVm(file, VM, false, screen), 5);
  const shown = screen.shown();
  for (const words of ['generation 4, PAIR', `a (${A.incarnation})`, `b (${B.incarnation})`])
    t.true(shown.includes(words), shown);
  t.regex(shown, /only when no guest of vm runs on any host/);
  const store = await reopen(t, file);
  t.is(await store.read(VM), null);
});

test('any other answer, or none, leaves the register', async t => {
  const file = await pairedFile(t);
  for (const typed of ['yes\n', '\n', '', 'VM\n'])
    await t.throwsAsync(forgetVm(file, VM, false, terminal(typed)), {
      code: 'CURLING_USAGE',
      message: /nothing was forgotten/,
    });
  const store = await reopen(t, file);
  t.is((await store.read(VM))?.generation, 4);
});

test('a VM that is unknown, or forgotten already, is said to be', async t => {
  const file = await pairedFile(t);
  const never = { ...UNKNOWN, message: /never had a register of other/ };
  await t.throwsAsync(forgetVm(file, 'other', true, terminal('')), never);
  t.is(await forgetVm(file, VM, true, terminal('')), 5);
  const already = { ...UNKNOWN, message: /forgotten already, in generation 5/ };
  await t.throwsAsync(forgetVm(file, VM, true, terminal('')), already);
});
