/** A trial load in a real QEMU: what it proves, and that it leaves the shadow as it was. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import anyTest, { type TestFn } from 'ava';
import type { QmpClient } from '../../common/qmp/client.ts';
import type { QemuChild } from '../../coordinator/qemu/child.ts';
import { compareGuests, describeGuest } from '../../coordinator/qemu/guest-description.ts';
import { queryObject, untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import { Standby } from '../../coordinator/qemu/standby.ts';
import { GUEST_RAM_BYTES, GuestKit } from './guest.ts';
import { Protection } from './protection.ts';

const test = anyTest as TestFn<{
  kit: GuestKit;
  guest: { qmp: QmpClient; child: QemuChild };
}>;

test.before(async t => {
  const kit = await GuestKit.make();
  t.context = { kit, guest: await kit.boot('a') };
});

test.after.always(async t => {
  t.context.guest?.qmp.close();
  await t.context.kit?.remove();
});

function digest(file: string): string {
  return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
}

test.serial(
  'needs qemu: a spare loads the state, sees the shadow, and changes nothing',
  async t => {
    t.timeout(60_000);
    const { kit, guest } = t.context;
    const described = await describeGuest(guest.qmp);
    const protection = new Protection(guest.qmp, kit.path('a.migrate'));
    t.teardown(() => protection.session.end().catch(() => {}));
    const options = kit.standbyOptions('b');
    const { shadowPath } = options.memory;
    const start = async (argv = options.argv) => {
      const spare = await Standby.start({ ...options, argv, duty: 'trial' });
      t.teardown(() => spare.kill());
      return spare;
    };
    // Up before the shadow has its content, as at a pairing.
    const spare = await start();
    t.deepEqual(compareGuests(described, await describeGuest(spare.qmp)), []);
    await protection.start();
    await protection.stop();
    fs.writeFileSync(shadowPath, protection.mainImage, { flag: 'r+' });
    const before = digest(shadowPath);
    const stream = protection.resumeStream();

    await spare.load(stream);
    t.is((await queryObject(spare.qmp, 'query-status')).status, 'paused');
    const seen = kit.path('seen');
    await spare.qmp.execute('pmemsave', { val: 0, size: GUEST_RAM_BYTES, filename: seen });
    const image = Buffer.from(protection.mainImage);
    const memory = fs.readFileSync(seen);
    // Below 1 MiB the firmware and the video card are mapped over the RAM.
    t.is(memory.length, GUEST_RAM_BYTES);
    t.true(memory.subarray(1 << 20).equals(image.subarray(1 << 20)));
    // Even a guest that ran there would not touch the shadow.
    await spare.qmp.execute('cont');
    await untilHolds(async () => kit.ticks('b') > 0, 'the spare runs when it is let', 20_000);
    await spare.kill();
    t.is(digest(shadowPath), before);

    const other = await start(
      [...options.argv, '-device', 'virtio-rng-pci,addr=03.0,multifunction=on']
        .filter(word => !/^virtio-net/.test(word))
        .filter((word, at, all) => word !== '-device' || /virtio/.test(all[at + 1] ?? '')),
    );
    const refusal = {
      code: 'CURLING_QEMU_RESUME',
      message: /cannot be loaded here.*it wrote: .+/s,
    };
    t.log((await t.throwsAsync(other.load(stream), refusal))?.message);
    await other.kill();
    t.is(digest(shadowPath), before);

    const standby = await Standby.start({ ...options, qmpPath: kit.path('b2.qmp') });
    t.teardown(() => standby.kill());
    const ticks = kit.ticks('b');
    await standby.resume(stream);
    await untilHolds(async () => kit.ticks('b') > ticks, 'ticks of the resumed guest', 20_000);
  },
);
