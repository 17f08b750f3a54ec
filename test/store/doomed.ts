/**
 * A backup that kills its own process at one write of checkpoint EPOCH, for crash.test.ts: `doomed DIRECTORY SEED EPOCH
 * journal|commit|apply`: between two writes of its journal, when its commit record is written and not synced, or between
 * two writes of its pages to the shadow.
 */
import { Store } from '../../coordinator/checkpoint/store.ts';
import { nodeIo, type StoreIo } from '../../coordinator/checkpoint/store-io.ts';
import { feed, optionsOf } from './feed.ts';
import { ModelGuest } from './model.ts';

const [directory = '', seed, last, place] = process.argv.slice(2);

/** The write before which it dies. An apply begins with two marks, of the acknowledgement and of itself. */
const LAST_WRITE: Record<string, number> = { journal: 3, apply: 4 };

let phase: 'before' | 'journal' | 'commit' | 'apply' = 'before';
/** Of the doomed checkpoint, in this phase. */
let writes = 0;

function enter(next: typeof phase): void {
  phase = next;
  writes = 0;
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('a process survives no SIGKILL');
}

const io: StoreIo = {
  ...nodeIo,
  write(fd, buffers, position) {
    writes++;
    if (phase === place && writes === LAST_WRITE[phase]) die();
    nodeIo.write(fd, buffers, position);
  },
  sync(fd) {
    if (phase === place && phase === 'commit') die();
    nodeIo.sync(fd);
  },
};

const store = Store.create(
  optionsOf(directory, {
    io,
    stopAt: point => {
      if (phase === 'before') return;
      if (point === 'verified') enter('commit');
      if (point === 'committed') enter('apply');
    },
  }),
);
const guest = new ModelGuest(Number(seed));
for (let epoch = 1; epoch <= Number(last); epoch++) {
  if (epoch === Number(last)) enter('journal');
  await feed(store, guest.checkpoint(epoch, epoch === 1));
  store.noteAck(epoch);
  store.apply();
}
