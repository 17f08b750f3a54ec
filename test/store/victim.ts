/** A backup that commits checkpoints until it is killed, and says which. Run by crash.test.ts. */
import { Store } from '../../coordinator/checkpoint/store.ts';
import { feed, optionsOf } from './feed.ts';
import { ModelGuest } from './model.ts';

const [directory = '', seed] = process.argv.slice(2);
const store = Store.create(optionsOf(directory));
const guest = new ModelGuest(Number(seed));
// Ends by itself if nobody kills it.
for (let epoch = 1; epoch <= 2000; epoch++) {
  await feed(store, guest.checkpoint(epoch, epoch === 1));
  store.noteAck(epoch);
  process.send?.(epoch);
  store.apply();
  if (epoch % 8 === 0) await new Promise(resolve => setImmediate(resolve));
}
process.disconnect();
