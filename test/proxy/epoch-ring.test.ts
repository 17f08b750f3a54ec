import test from 'ava';
import fc from 'fast-check';
import { CurlingError } from '../../common/errors.ts';
import { EpochRing } from '../../proxy/epoch-ring.ts';

/** What the ring should do, with a list of frames: slow and plain. */
class Model {
  open = 1;
  released = 0;
  /** `joined` is the epoch that was open when the frame came, `life` counts the changes of the open epoch until then. */
  held: { number: number; epoch: number; bytes: number; joined: number; life: number }[] = [];
  life = 0;
  next = 0;

  unreleased() {
    return this.held.filter(frame => frame.epoch > this.released);
  }

  sum(frames: { bytes: number }[]) {
    return { frames: frames.length, bytes: frames.reduce((sum, frame) => sum + frame.bytes, 0) };
  }
}

const SLOTS = 7;
const EPOCHS = 3;

type Step = {
  what: 'open' | 'capture' | 'seal' | 'release' | 'pass' | 'send' | 'discard';
  by: number;
};

const steps = fc.array(
  fc.record<Step>({
    what: fc.constantFrom(
      ...(['open', 'capture', 'capture', 'seal', 'release', 'pass', 'send', 'discard'] as const),
    ),
    by: fc.integer({ min: 0, max: 9 }),
  }),
  { maxLength: 120 },
);

/** The code of what `work` throws, or its result. */
function outcome<Result>(work: () => Result): Result | string {
  try {
    return work();
  } catch (error) {
    if (error instanceof CurlingError) return error.code;
    throw error;
  }
}

const apply: Record<
  Step['what'],
  (ring: EpochRing, model: Model, by: number) => [unknown, unknown]
> = {
  open(ring, model, by) {
    const epoch = model.open + by - 2;
    if (epoch < 1) return [0, 0];
    const free = epoch === model.open || model.unreleased().length === 0;
    if (free && epoch !== model.open) {
      model.open = epoch;
      model.life++;
      model.released = epoch - 1;
      for (const frame of model.held) frame.epoch = 0;
    }
    return [outcome(() => ring.open(epoch)), free ? undefined : 'CURLING_EPOCH'];
  },
  capture(ring, model, by) {
    const count = Math.min(by, SLOTS - model.held.length);
    for (let index = 0; index < count; index++) {
      const joined = { joined: model.open, life: model.life };
      model.held.push({ number: model.next++, epoch: model.open, bytes: by, ...joined });
    }
    ring.capture(count, count * by);
    return [ring.free, SLOTS - model.held.length];
  },
  seal(ring, model, by) {
    const epoch = model.open + (by === 0 ? 1 : 0);
    const count = model.sum(model.held.filter(frame => frame.epoch === epoch));
    const legal = epoch === model.open && model.open - 1 - model.released < EPOCHS;
    if (legal) {
      model.open++;
      model.life++;
    }
    return [outcome(() => ring.seal(epoch)), legal ? count : 'CURLING_EPOCH'];
  },
  release(ring, model, by) {
    const epoch = model.released + by - 2;
    const legal = epoch < model.open;
    if (legal) model.released = Math.max(model.released, epoch);
    return [outcome(() => ring.release(epoch)), legal ? undefined : 'CURLING_EPOCH'];
  },
  pass(ring, model) {
    if (model.released < model.open - 1) return [0, 0];
    for (const frame of model.held) frame.epoch = 0;
    return [ring.pass(), undefined];
  },
  send(ring, model, by) {
    const sendable = model.held.length - model.unreleased().length;
    const gone = model.held.splice(0, Math.min(by, sendable));
    const result = ring.sendable;
    ring.send(gone.length, model.sum(gone).bytes);
    return [result, sendable];
  },
  discard(ring, model) {
    const count = model.sum(model.unreleased());
    for (const frame of model.unreleased()) Object.assign(frame, { epoch: 0, bytes: 0 });
    return [ring.discard(), count];
  },
};

test('the ring does what a plain list of frames does, whatever the order of steps', t => {
  fc.assert(
    fc.property(steps, list => {
      const ring = new EpochRing({ slots: SLOTS, epochs: EPOCHS });
      const model = new Model();
      for (const { what, by } of list) {
        const [real, expected] = apply[what](ring, model, by);
        t.deepEqual(real, expected, what);
        t.deepEqual(ring.held, model.sum(model.held));
        t.is(ring.openEpoch, model.open);
        t.is(ring.releasedEpoch, model.released);
        t.is(ring.sendable, model.held.length - model.unreleased().length);
        const [first] = model.held;
        t.is(ring.sendingEpoch, first?.joined ?? model.open);
        const ofEpoch = model.held.filter(({ life }) => life === first?.life).length;
        t.is(ring.sendableOfEpoch, Math.min(ofEpoch, ring.sendable));
        t.is(
          ring.pending,
          model.held.some(frame => frame.epoch === model.open),
        );
      }
    }),
    { numRuns: 400 },
  );
});

test('a frame beyond the bound is a programming error, an epoch beyond it is refused', t => {
  const ring = new EpochRing({ slots: 2, epochs: 2 });
  t.throws(() => ring.capture(3, 3), { name: 'AssertionError' });
  const other = new EpochRing({ slots: 2, epochs: 2 });
  other.seal(1);
  other.seal(2);
  t.throws(() => other.seal(3), { code: 'CURLING_EPOCH' });
  other.release(1);
  t.deepEqual(other.seal(3), { frames: 0, bytes: 0 });
});

test('sending what is not released is a programming error', t => {
  const ring = new EpochRing({ slots: 2, epochs: 2 });
  ring.capture(1, 60);
  ring.seal(1);
  t.throws(() => ring.send(1, 60), { name: 'AssertionError' });
});
