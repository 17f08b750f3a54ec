import fs from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { Store } from '../../coordinator/checkpoint/store.ts';
import { HEADER_BYTES } from '../../coordinator/replication/types.ts';
import { BRIEF } from '../effort.ts';
import { difference, directoryOf, feed, optionsOf, stateOf } from '../store/feed.ts';
import { type GuestState, ModelGuest, Random } from '../store/model.ts';
import { bitFlips, mutant } from './mutate.ts';

interface Written {
  directory: string;
  /** What a crashed process left, by file. */
  files: Map<string, Buffer>;
  /** The guest as of each epoch. */
  states: Map<number, GuestState>;
}

/** A store at checkpoint 3, whose slot is there and not applied; `acked` says whether it was acknowledged. */
async function written(t: ExecutionContext, acked: boolean): Promise<Written> {
  const directory = directoryOf(t);
  const store = Store.create(optionsOf(directory));
  const guest = new ModelGuest(11);
  const states = new Map<number, GuestState>();
  for (let epoch = 1; epoch <= 3; epoch++) {
    await feed(store, guest.checkpoint(epoch, epoch === 1));
    states.set(epoch, guest.copy());
    if (epoch < 3 || acked) store.noteAck(epoch);
  }
  await store.close();
  const names = fs.readdirSync(directory);
  const files = new Map(names.map(name => [name, fs.readFileSync(path.join(directory, name))]));
  return { directory, files, states };
}

/** Puts the files back, one of them changed, and says what a restart finds: an epoch, `nothing`, or a code. */
async function recovered(world: Written, name: string, content: Buffer): Promise<string> {
  for (const [file, bytes] of world.files) {
    fs.writeFileSync(path.join(world.directory, file), file === name ? content : bytes);
  }
  let found: ReturnType<typeof Store.recover>;
  try {
    found = Store.recover(optionsOf(world.directory));
  } catch (error) {
    if (error instanceof CurlingError) return error.code;
    throw error;
  }
  if ('nothing' in found) return 'nothing';
  try {
    const state = stateOf(found.store);
    const wrong = difference(state, world.states.get(state.epoch)!);
    if (wrong) throw new Error(`${name}: epoch ${state.epoch} is not what it was: ${wrong}`);
    return `epoch ${state.epoch}`;
  } finally {
    await found.store.close();
  }
}

const STEP = BRIEF ? 41 : 7;

for (const acked of [true, false]) {
  const how = acked ? 'an acknowledged' : 'a committed';
  // What was acknowledged must not be forgotten; what was not may be the checkpoint before.
  const allowed = acked
    ? /^(epoch 3|nothing|CURLING_STORE)$/
    : /^(epoch [23]|nothing|CURLING_STORE)$/;

  test(`${how} checkpoint: a store cut off anywhere gives it whole, or says that there is none`, async t => {
    const world = await written(t, acked);
    const seen = new Set<string>();
    t.is(await recovered(world, '', Buffer.alloc(0)), 'epoch 3');
    for (const name of ['manifest', 'marks', 'slot-0', 'slot-1', 'blocks']) {
      const bytes = world.files.get(name)!;
      const step = bytes.length < 1000 ? STEP : Math.ceil(bytes.length / 60);
      for (let cut = 0; cut < bytes.length; cut += step) {
        const said = await recovered(world, name, bytes.subarray(0, cut));
        seen.add(said);
        // Without its marks nobody knows what was acknowledged, and the newest is whole.
        if (!allowed.test(said)) t.fail(`${name} cut at ${cut}: ${said}`);
      }
    }
    t.true(seen.has('nothing') && seen.has('epoch 3'), [...seen].join());
  });

  test(`${how} checkpoint: a store with a flipped bit gives it whole, or says that there is none`, async t => {
    const world = await written(t, acked);
    const random = new Random(9);
    const seen = new Map<string, number>();
    for (const [name, to] of [
      ['manifest', Infinity],
      ['marks', Infinity],
      ['slot-0', 2 * HEADER_BYTES],
      ['slot-1', 2 * HEADER_BYTES],
    ] as const) {
      const bytes = world.files.get(name)!;
      let bit = 0;
      for (const flipped of bitFlips(bytes, 0, Math.min(to, bytes.length))) {
        if (bit++ % (STEP * 4) !== 0) continue;
        const said = await recovered(world, name, flipped);
        if (!allowed.test(said)) t.fail(`${name} bit ${bit - 1}: ${said}`);
        seen.set(said, (seen.get(said) ?? 0) + 1);
      }
      for (let turn = 0; turn < (BRIEF ? 5 : 30); turn++) {
        const said = await recovered(world, name, mutant(random, [bytes.subarray(0, 60_000)]));
        if (!allowed.test(said)) t.fail(`${name} changed: ${said}`);
      }
    }
    t.true(seen.size >= 2, JSON.stringify([...seen]));
  });
}
