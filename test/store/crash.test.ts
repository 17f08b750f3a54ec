import { fork } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { Store } from '../../coordinator/checkpoint/store.ts';
import { nodeIo, type StoreIo } from '../../coordinator/checkpoint/store-io.ts';
import { difference, directoryOf, feed, optionsOf, stateOf } from './feed.ts';
import { type GuestState, ModelGuest } from './model.ts';

class Died extends Error {}

/**
 * Dies at the `fatal`-th step: before it, or in the middle of it when it is a write. Nothing works
 * afterwards.
 */
function mortalIo(fatal: number, half: boolean): { io: StoreIo; steps: () => number } {
  let steps = 0;
  const step = (last: () => void = () => {}) => {
    if (++steps === fatal && half) last();
    if (steps >= fatal) throw new Died();
  };
  const io: StoreIo = {
    write(fd, buffers, position) {
      const bytes = Buffer.concat(buffers);
      step(() => nodeIo.write(fd, [bytes.subarray(0, bytes.length >> 1)], position));
      nodeIo.write(fd, buffers, position);
    },
    replace(path, content) {
      step();
      nodeIo.replace(path, content);
    },
    remove(path) {
      step();
      nodeIo.remove(path);
    },
    truncate(fd, bytes) {
      step();
      nodeIo.truncate(fd, bytes);
    },
    sync(fd) {
      step();
      nodeIo.sync(fd);
    },
  };
  return { io, steps: () => steps };
}

interface Life {
  /** The guest at each epoch. */
  states: Map<number, GuestState>;
  committed: number | undefined;
  acked: number | undefined;
  steps: number;
  died: boolean;
}

/** Two protections with some checkpoints each, as a backup lives through them, until it dies. */
async function live(directory: string, fatal: number, half: boolean): Promise<Life> {
  const { io, steps } = mortalIo(fatal, half);
  const states = new Map<number, GuestState>();
  const life: Life = { states, committed: undefined, acked: undefined, steps: 0, died: false };
  let store: Store | undefined;
  try {
    store = Store.create(optionsOf(directory, { io }));
    for (const [generation, first] of [
      [1, 3],
      [2, 20],
    ] as const) {
      const guest = new ModelGuest(generation * 31, generation);
      for (let epoch = first; epoch < first + 5; epoch++) {
        const frames = guest.checkpoint(epoch, epoch === first);
        states.set(epoch, guest.copy());
        if (epoch === first) Object.assign(life, { committed: undefined, acked: undefined });
        await feed(store, frames);
        life.committed = store.committed;
        store.noteAck(epoch);
        life.acked = epoch;
        store.apply();
      }
    }
  } catch (error) {
    if (!(error instanceof Died)) throw error;
    life.died = true;
  }
  // A process that dies closes its files and does nothing else.
  await store?.close();
  return { ...life, steps: steps() };
}

/** What is wrong with what a restarted process finds, if anything. */
async function verdict(directory: string, life: Life): Promise<string | undefined> {
  const result = Store.recover(optionsOf(directory));
  if ('nothing' in result) {
    return life.acked === undefined ? undefined : `lost ${life.acked}: ${result.nothing}`;
  }
  const { store } = result;
  const state = stateOf(store);
  await store.discard();
  if (life.acked !== undefined && state.epoch < life.acked) return `went back to ${state.epoch}`;
  if (life.committed !== undefined && state.epoch < life.committed) return 'lost a commit';
  const wrong = difference(state, life.states.get(state.epoch)!);
  return wrong && `epoch ${state.epoch}: ${wrong}`;
}

for (const half of [false, true]) {
  const when = half ? 'in the middle of' : 'before';
  test(`a death ${when} any write loses nothing acknowledged`, async t => {
    const whole = await live(directoryOf(t), Number.POSITIVE_INFINITY, half);
    t.false(whole.died);
    t.true(whole.steps > 100);
    let intact = 0;
    for (let fatal = 1; fatal <= whole.steps; fatal++) {
      const directory = directoryOf(t);
      const life = await live(directory, fatal, half);
      t.true(life.died);
      const wrong = await verdict(directory, life);
      if (wrong) return t.fail(`step ${fatal} of ${whole.steps}: ${wrong}`);
      if (life.acked !== undefined) intact++;
    }
    t.true(intact > 50);
  });
}

test('a backup that is killed with -9 comes back with exactly a committed checkpoint', async t => {
  for (const [round, target] of [4, 17, 40].entries()) {
    const directory = directoryOf(t);
    const seed = 1000 + round;
    const child = fork(new URL('./victim.js', import.meta.url), [directory, String(seed)]);
    t.teardown(() => child.kill('SIGKILL'));
    let acked = 0;
    child.on('message', epoch => {
      acked = Number(epoch);
      if (acked === target) child.kill('SIGKILL');
    });
    await once(child, 'exit');
    t.true(acked >= target);
    const result = Store.recover(optionsOf(directory));
    if ('nothing' in result) return t.fail(result.nothing);
    const state = stateOf(result.store);
    t.true(state.epoch >= acked);
    const guest = new ModelGuest(seed);
    for (let epoch = 1; epoch <= state.epoch; epoch++) guest.checkpoint(epoch, epoch === 1);
    t.is(difference(state, guest.state), undefined);
    await result.store.discard();
  }
});
