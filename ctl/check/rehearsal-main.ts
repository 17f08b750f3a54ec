/** The process of the rehearsal, in a network namespace of its own: prints what failed, by step, null for what works. */
import { messageOf } from '../../common/errors.ts';
import { run } from '../../common/run.ts';
import { addDropFilter, addHook } from '../../proxy/drop-filter.ts';
import { OwnTap } from '../../proxy/own-tap.ts';
import { PacketRing } from '../../proxy/packet-ring.ts';
import type { Rehearsed } from './rehearsal.ts';

/** The smallest ring that there is. */
const RING_BYTES = 256 << 10;
/** Of lo, in a new namespace. */
const LOOPBACK_INDEX = 1;
const FOUND = { isolated: false, hook: false, router: 1 };

const steps: Record<Rehearsed, () => unknown> = {
  'tap devices': () => new OwnTap('tap0'),
  bridge: async () => {
    await run('ip', ['link', 'add', 'br0', 'type', 'bridge']);
    await run('ip', ['link', 'set', 'tap0', 'master', 'br0']);
  },
  'packet ring': () => new PacketRing(LOOPBACK_INDEX, RING_BYTES).close(),
  'ingress filter': async () => {
    await addHook('tap0');
    await addDropFilter('tap0', FOUND);
  },
};

const errors: Record<string, string | null> = {};
for (const [what, work] of Object.entries(steps)) {
  try {
    await work();
    errors[what] = null;
  } catch (error) {
    errors[what] = messageOf(error);
  }
}
process.stdout.write(JSON.stringify(errors));
