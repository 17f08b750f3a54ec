/**
 * Two real guests and one coordinator's process on each of two hosts, each host the primary of one and the backup of the
 * other: one machine's thread fails, and the other machine goes on as if it were alone.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ClientProcess } from '../../lab/client-process.ts';
import { Fleet } from '../../lab/fleet.ts';
import { Traffic } from '../../lab/traffic.ts';
import { assertClean, UNFIT, untilRecords } from '../system/scenario.ts';

const qemu = UNFIT ? test.serial.skip : test.serial;

qemu(
  'one machine fails over when its thread ends, the other notices nothing (needs root, qemu)',
  async t => {
    t.timeout(240_000);
    const still = { name: 'still', home: 'b' };
    const broken = { name: 'broken', home: 'a' };
    // Two processors, four QEMUs: a silence of 300 ms does not mean that a host is dead.
    const fleet = await Fleet.create({ machines: [still, broken], settings: ['detection = 1500'] });
    t.teardown(() => fleet.destroy());
    await Promise.all([fleet.begin(still), fleet.begin(broken)]);
    for (const host of ['a', 'b'])
      await fleet.startTogether(host, { CURLING_TEST_FAULTS: fleet.faults(host) });
    const [before] = await Promise.all([
      fleet.untilProtected('b', 'still'),
      fleet.untilProtected('a', 'broken'),
    ]);
    t.is((await fleet.status('a', 'still'))?.state, 'BACK');
    t.is((await fleet.status('b', 'broken'))?.state, 'BACK');

    const { lab } = fleet.deployment;
    const traffic = await Traffic.start(lab, { recordsRate: 100, echoRate: 10 });
    const to = ['--to', `${fleet.address('broken')}:7`, '--rate', '10', '--progress', '200'];
    const echo = await ClientProcess.start(lab.client, 'echo', to);
    await untilRecords(traffic, 100);
    const events = await fleet.follow('b', 'still');

    const fault = join(fleet.faults('a'), 'broken');
    writeFileSync(`${fault}.new`, 'throw');
    renameSync(`${fault}.new`, fault);
    await fleet.untilStatus('b', 'broken', ({ failovers }) => failovers.length === 1);
    await untilRecords(traffic, 100);
    // Its guest here has lost the register: the thread that was begun again ends it, and becomes the backup.
    await fleet.untilProtected('b', 'broken');
    await untilRecords(traffic, 100);

    const after = (await fleet.status('b', 'still'))!;
    t.true(after.protected);
    t.deepEqual(events, [], 'nothing has happened to the other machine');
    t.is(after.generation, before.generation);
    t.true(after.epoch.committed > before.epoch.committed);
    t.is(after.failovers.length, 0);
    t.is(echo.lost, undefined, 'its own clients are as they were, too');
    await echo.stop();
    assertClean(t, (await traffic.finish()).verdict);
  },
);
