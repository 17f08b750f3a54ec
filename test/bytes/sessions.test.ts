import test from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { BRIEF } from '../effort.ts';
import { World } from '../replication/world.ts';
import { Random } from '../store/model.ts';
import { tryInput } from './engine.ts';
import { bitFlips, truncations } from './mutate.ts';
import { RECEIVER_END, SENDER_END } from './targets/sessions.ts';

/** Every how many-th of the cuts and flips is tried. */
const STEP = BRIEF ? 17 : 1;

for (const target of [RECEIVER_END, SENDER_END]) {
  const speech = target.seeds[1]!;

  test(`${target.name}: what is cut off at any byte commits or acknowledges nothing that did not come`, async t => {
    const random = new Random(1);
    const whole = await tryInput(target, { input: speech, mended: false }, random);
    t.regex(whole, target === RECEIVER_END ? /committed 7/ : /ack 7/);
    let index = 0;
    let last = 0;
    for (const input of truncations(speech)) {
      if (index++ % STEP !== 0) continue;
      const said = await tryInput(target, { input, mended: false }, random);
      const epoch = Math.max(
        0,
        ...[...said.matchAll(/(?:committed|^ack) (\d)/gm)].map(m => Number(m[1])),
      );
      // More bytes never take a commit or an acknowledgement back, and an end is only at the speech's own.
      if (epoch < last || /^closed/m.test(said)) t.fail(`cut at ${input.length}: ${said}`);
      last = epoch;
    }
    t.true(last >= 6);
  });

  test(`${target.name}: a flipped bit ends the session, and nothing behind it counts`, async t => {
    const random = new Random(2);
    let bit = 0;
    for (const input of bitFlips(speech)) {
      const at = bit++ >> 3;
      if (bit % (7 * STEP) !== 0) continue;
      const said = await tryInput(target, { input, mended: false }, random);
      // A length that grew is still waited for at the end of the speech.
      const ended = /^(closed|refused)/m.test(said);
      if (!ended && !/greeting|in flight/.test(said) && /committed 7/.test(said))
        t.fail(`byte ${at}: ${said}`);
      if (target === SENDER_END && !ended && /ack 7/.test(said) && at < speech.length - 108)
        t.fail(said);
    }
    t.is(bit, speech.length * 8);
  });
}

test('a reason of control characters fits into the message that carries it', async t => {
  const text = '\u0001\ud800"\\'.repeat(2000);
  for (const end of ['primary', 'backup'] as const) {
    const world = new World();
    await world.greet();
    if (end === 'primary') world.session.guestLost(text);
    (end === 'primary' ? world.session : world.receiver).bye(text);
    await world.settle();
    const heard = end === 'primary' ? world.backup : world.primary;
    t.true(
      heard.some(line => line.startsWith('bye \u0001')),
      JSON.stringify(heard).slice(0, 200),
    );
  }
  const refusing = new World({
    receiver: {
      hello: async () => Promise.reject(new CurlingError('CURLING_QEMU_MISMATCH', text)),
    },
  });
  refusing.session.start();
  await refusing.settle();
  t.true(refusing.primary.includes('refused CURLING_QEMU_MISMATCH'), `${refusing.primary}`);
});
