/** A microvm, with a memory backend of its operator's, through the coordinators: no PCI, another name for its memory. */
import test from 'ava';
import { logsOnFailure } from './faults.ts';
import {
  assertClean,
  deploy,
  protectedPair,
  UNFIT,
  untilRecords,
  untilSurvivor,
} from './scenario.ts';

const qemu = UNFIT ? test.serial.skip : test.serial;

qemu(
  "a microvm with its memory in a memfd fails over, and its own command is its standby's (needs root, qemu)",
  async t => {
    t.timeout(240_000);
    const memory = { type: 'memfd', id: 'guest-memory', share: true } as const;
    const deployment = await deploy(t, { guest: { machine: 'microvm', cpus: 2, memory } });
    logsOnFailure(t, deployment);
    const traffic = await protectedPair(deployment);
    await untilRecords(traffic, 100);
    deployment.lab.kill('a');
    await untilSurvivor(deployment, 'b');
    await untilRecords(traffic, 100);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);
