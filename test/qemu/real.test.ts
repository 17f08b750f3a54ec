import fs from 'node:fs';
import anyTest, { type TestFn } from 'ava';
import { CurlingError } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import { checkHoldable } from '../../coordinator/qemu/checks.ts';
import type { QemuChild } from '../../coordinator/qemu/child.ts';
import { endColo } from '../../coordinator/qemu/colo-migration.ts';
import { compareGuests, describeGuest } from '../../coordinator/qemu/guest-description.ts';
import { queryRunning, untilHolds } from '../../coordinator/qemu/qmp-queries.ts';
import { encodeResume } from '../../coordinator/qemu/resume.ts';
import { Standby } from '../../coordinator/qemu/standby.ts';
import { GUEST_RAM_BYTES, GuestKit } from './guest.ts';
import { Protection } from './protection.ts';

const CHECKPOINTS = 100;

const test = anyTest as TestFn<{
  kit: GuestKit;
  guest: { qmp: QmpClient; child: QemuChild; ramPath: string };
}>;

test.before(async t => {
  const kit = await GuestKit.make();
  t.context = { kit, guest: await kit.boot('a') };
});

test.after.always(async t => {
  t.context.guest?.qmp.close();
  await t.context.kit?.remove();
});

/** The guest's RAM as it really is, read into `into`. */
function readRam(ramPath: string, into: Buffer): Buffer {
  const file = fs.openSync(ramPath, 'r');
  try {
    for (let at = 0; at < into.length; ) at += fs.readSync(file, into, at, into.length - at, at);
    return into;
  } finally {
    fs.closeSync(file);
  }
}

test.serial('needs qemu: a running guest and a standby are described alike', async t => {
  const { kit, guest } = t.context;
  const standby = await Standby.start(kit.standbyOptions('described'));
  t.teardown(() => standby.kill());
  const running = await describeGuest(guest.qmp);
  t.deepEqual(
    compareGuests(running, JSON.parse(JSON.stringify(await describeGuest(standby.qmp)))),
    [],
  );
  t.is(running.machine, 'pc-i440fx-7.2-machine');
  t.is(running.ramBytes, GUEST_RAM_BYTES);
  t.deepEqual(running.devices, ['device[0] child<virtio-net-pci> 03.0']);
  t.true(running.cpuFeatures.length > 0);
  await t.throwsAsync(checkHoldable(guest.qmp), {
    code: 'CURLING_QEMU_UNHELD',
    message: /serial0 \(.* on a file.*n0 \(network through user/,
  });
  const warnings = await checkHoldable(guest.qmp, { allowUnheld: ['n0', 'serial0'] });
  t.is(warnings.length, 3);
  t.regex(warnings[0]!, /TCG/);
});

test.serial('needs qemu: the staged image equals the RAM at a hundred checkpoints', async t => {
  t.timeout(120_000);
  const { kit, guest } = t.context;
  const protection = new Protection(guest.qmp, kit.path('a.migrate'), 4 << 20);
  t.teardown(() => protection.session.end());
  await protection.start();
  const real = Buffer.alloc(GUEST_RAM_BYTES);
  const pagesBefore = protection.staging.counters.dataPages;
  for (let n = 0; n < CHECKPOINTS; n++) {
    await protection.stop();
    if (!readRam(guest.ramPath, real).equals(protection.mainImage))
      return t.fail(`the image differs at checkpoint ${n}`);
    protection.session.resume();
  }
  const { counters } = protection.staging;
  const pages = counters.dataPages - pagesBefore;
  t.log(`${pages / CHECKPOINTS} pages per checkpoint`, counters, protection.device.length);
  t.true(pages / CHECKPOINTS > 100, 'the guest dirties memory');
  t.true(counters.waits > 0, 'the first pass is larger than the pool');
});

test.serial('needs qemu: protect, unprotect, protect; end sets a stopped guest going', async t => {
  const { kit, guest } = t.context;
  for (const left of ['requested', 'staged', 'copied'] as const) {
    const protection = new Protection(guest.qmp, kit.path('a.migrate'));
    t.teardown(() => protection.session.end());
    await protection.session.start();
    await protection.next('firstPass');
    if (left !== 'copied') {
      protection.session.ready();
      await protection.stop();
    }
    if (left === 'requested') {
      protection.session.resume();
      await protection.next('request');
    }
    t.is(protection.session.state, left);
    await protection.session.end();
    t.true(await queryRunning(guest.qmp));
    const ticks = kit.ticks('a');
    await untilHolds(async () => kit.ticks('a') > ticks, 'a tick after the end', 5_000);
  }
});

test.serial('needs qemu: a guest is freed that a coordinator left stopped', async t => {
  const { kit, guest } = t.context;
  const protection = new Protection(guest.qmp, kit.path('a.migrate'));
  await protection.start();
  await protection.stop();
  // What is left of a dead coordinator: a closed socket, and a QEMU that waits.
  guest.qmp.close();
  await t.throwsAsync(protection.next('request'), { code: 'CURLING_CONNECTION_LOST' });
  guest.qmp = await QmpClient.connect(kit.path('a.qmp'));
  t.false(await queryRunning(guest.qmp));
  await endColo(guest.qmp);
  t.true(await queryRunning(guest.qmp));
});

test.serial('needs qemu: the guest runs on in a standby, which can be protected again', async t => {
  const { kit, guest } = t.context;
  const options = kit.standbyOptions('b');
  const standby = await Standby.start(options);
  t.teardown(() => standby.kill());
  const described = await describeGuest(guest.qmp);
  const protection = new Protection(guest.qmp, kit.path('a.migrate'));
  await protection.start();
  for (let n = 0; n < 5; n++) {
    await protection.stop();
    protection.session.resume();
  }
  await protection.stop();
  fs.writeFileSync(options.memory.shadowPath, protection.mainImage, { flag: 'r+' });
  await guest.child.kill();
  await t.throwsAsync(protection.next('request'), { instanceOf: CurlingError });

  const spoilt = await Standby.start(kit.standbyOptions('spoilt'));
  t.teardown(() => spoilt.kill());
  const bad = encodeResume({
    layout: { ...protection.layout!, machine: 'pc-other' },
    blocks: protection.image,
    device: protection.device,
  });
  const refusal = { code: 'CURLING_QEMU_RESUME', message: /Machine type received is 'pc-other'/ };
  await t.throwsAsync(spoilt.resume(bad), refusal);
  t.false(spoilt.mayHaveRun, 'another standby may begin on this shadow');

  const begun = performance.now();
  const stream = protection.resumeStream();
  const encodedMs = performance.now() - begun;
  const loaded: boolean[] = [];
  const durations = await standby.resume(stream, () => loaded.push(standby.mayHaveRun));
  t.deepEqual([...loaded, standby.mayHaveRun], [false, true]);
  t.log({ encodedMs, ...durations });
  await standby.announce();
  t.deepEqual(compareGuests(described, await describeGuest(standby.qmp)), []);
  await untilHolds(async () => kit.ticks('b') > 1, 'ticks of the resumed guest', 5_000);

  const again = new Protection(standby.qmp, kit.path('b.migrate'));
  t.teardown(() => again.session.end());
  await again.start();
  await again.stop();
  const real = Buffer.alloc(GUEST_RAM_BYTES);
  t.true(readRam(options.memory.shadowPath, real).equals(again.mainImage));
  again.session.resume();
});
