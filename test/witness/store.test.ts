import fs from 'node:fs';
import test from 'ava';
import { initStore, WitnessStore } from '../../witness/store.ts';
import { A, create, openStore, storePath, turn, VM } from './support.ts';

const EMPTY = { code: 'CURLING_WITNESS_EMPTY' };
const DAMAGED = { code: 'CURLING_WITNESS_STORE' };

/** A store at generation 3, closed; its bytes. */
async function written(
  t: Parameters<typeof storePath>[0],
): Promise<{ file: string; bytes: Buffer }> {
  const { file, store } = await openStore(t);
  for (const request of [create, ...turn(1)]) t.true((await store.swap(request)).swapped);
  await store.close();
  return { file, bytes: fs.readFileSync(file) };
}

async function generationOf(file: string): Promise<number | undefined> {
  const store = await WitnessStore.open(file);
  try {
    return (await store.read(VM))?.generation;
  } finally {
    await store.close();
  }
}

test('without a store, or with an empty one, there is no witness', async t => {
  const file = storePath(t);
  await t.throwsAsync(WitnessStore.open(file), { ...EMPTY, message: /curling-witness init/ });
  fs.writeFileSync(file, '');
  await t.throwsAsync(WitnessStore.open(file), EMPTY);
});

test('init makes a store of its own identity, once', async t => {
  const file = storePath(t);
  const id = await initStore(file);
  t.regex(id, /^[0-9a-f]{32}$/);
  await t.throwsAsync(initStore(file), { ...DAMAGED, message: /exists already/ });
  const store = await WitnessStore.open(file);
  t.is(store.id, id);
  await store.close();
  t.not(await initStore(storePath(t)), id);
});

test('what was answered is there after reopening', async t => {
  const { file } = await written(t);
  t.is(await generationOf(file), 3);
});

test('a last line cut at any byte loses at most itself', async t => {
  const { file, bytes } = await written(t);
  const lastLine = bytes.lastIndexOf(10, bytes.length - 2) + 1;
  for (let cut = lastLine; cut <= bytes.length; cut++) {
    fs.writeFileSync(file, bytes.subarray(0, cut));
    t.is(await generationOf(file), cut >= bytes.length - 1 ? 3 : 2, `cut at ${cut}`);
    const mended = fs.readFileSync(file);
    t.is(mended.at(-1), 10);
    t.is(await generationOf(file), cut >= bytes.length - 1 ? 3 : 2);
  }
});

test('after a cut the next transition goes where the lost one would have been', async t => {
  const { file, bytes } = await written(t);
  fs.writeFileSync(file, bytes.subarray(0, bytes.length - 20));
  const store = await WitnessStore.open(file);
  t.true(store.counters.tornBytesCut > 0);
  t.true((await store.swap(turn(1)[1])).swapped);
  await store.close();
  t.deepEqual(fs.readFileSync(file), bytes);
});

test('a flipped bit in any finished line is found', async t => {
  const { file, bytes } = await written(t);
  const last = bytes.length - 1;
  for (const at of [last, ...Array.from({ length: Math.floor(last / 7) }, (_, n) => n * 7)]) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] as number) ^ 4;
    fs.writeFileSync(file, flipped);
    await t.throwsAsync(WitnessStore.open(file), DAMAGED, `byte ${at}`);
  }
});

test('a removed, repeated or moved line is found', async t => {
  const { file, bytes } = await written(t);
  const [header, one, two, three] = bytes.toString().split('\n') as [
    string,
    string,
    string,
    string,
  ];
  for (const lines of [
    [header, two, three],
    [header, one, one, two, three],
    [header, two, one, three],
    [one, two, three],
    ['hello'],
  ]) {
    fs.writeFileSync(file, `${lines.join('\n')}\n`);
    await t.throwsAsync(WitnessStore.open(file), DAMAGED);
  }
});

test('one process has a store at a time', async t => {
  const { file, store } = await openStore(t);
  await t.throwsAsync(WitnessStore.open(file), { ...DAMAGED, message: /in use/ });
  await store.close();
  const again = await WitnessStore.open(file);
  await again.close();
});

test('racing requests of one generation: one wins, and their fsync is shared', async t => {
  const { store } = await openStore(t);
  await store.swap(create);
  const before = store.counters.syncs;
  const results = await Promise.all(Array.from({ length: 50 }, () => store.swap(turn(1)[0])));
  t.is(results.filter(result => result.swapped).length, 1);
  for (const { register } of results) t.is(register?.generation, 2);
  t.is(store.counters.syncs, before + 1);
  t.is(store.syncs.count, store.counters.syncs, 'each is timed');
});

test('many VMs, up to a bound', async t => {
  const { file, store } = await openStore(t, { vmsMax: 20 });
  const names = Array.from({ length: 20 }, (_, n) => `vm${n}`);
  await Promise.all(names.map(vm => store.swap({ ...create, vm })));
  await t.throwsAsync(store.swap(create), { code: 'CURLING_BUSY' });
  t.false((await store.swap({ ...create, vm: 'vm3' })).swapped);
  await store.close();
  const again = await WitnessStore.open(file);
  t.teardown(() => again.close());
  for (const vm of names) t.deepEqual((await again.read(vm))?.primary, A);
  t.is(await again.read('other'), null);
});

test('a long history is compacted, and nothing is forgotten', async t => {
  const { file, store } = await openStore(t, { compactBytes: 4_000 });
  await store.swap(create);
  await store.swap({ ...create, vm: 'other' });
  let generation = 1;
  for (; generation < 61; generation += 2)
    for (const request of turn(generation)) t.true((await store.swap(request)).swapped);
  t.true(store.counters.compactions > 0);
  t.true(fs.statSync(file).size < 6_000);
  await store.close();
  const again = await WitnessStore.open(file, { compactBytes: 100 });
  t.teardown(() => again.close());
  t.is((await again.read(VM))?.generation, generation);
  t.is((await again.read('other'))?.generation, 1);
  t.true((await again.swap(turn(generation)[0])).swapped);
});

test('a store that cannot be written answers nothing any more', async t => {
  const { file, store } = await openStore(t, { compactBytes: 100 });
  await store.swap(create);
  // The folder of the next compaction's draft is in the way.
  fs.mkdirSync(`${file}.compact`);
  const writes = async () => {
    for (const request of [...turn(1), ...turn(3)]) await store.swap(request);
  };
  await t.throwsAsync(writes(), { ...DAMAGED, message: /cannot be written/ });
  await t.throwsAsync(store.read(VM), DAMAGED);
  await t.throwsAsync(store.failed, DAMAGED);
});
