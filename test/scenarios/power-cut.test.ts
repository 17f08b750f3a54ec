/** Both hosts lose power. Nothing of the guest is left, so nobody may run it; the operator begins its next life. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { VM } from '../../lab/deployment.ts';
import { inRepository } from '../../lab/paths.ts';
import { Traffic } from '../../lab/traffic.ts';
import { killPart, pidsOf, until, untilState, untilWhole } from '../system/faults.ts';
import { PATIENT, untilRecords } from '../system/scenario.ts';
import {
  assertStopped,
  heardPair,
  longScenario,
  reviveHost,
  startBackup,
  TRAFFIC,
} from './scenario.ts';

longScenario(
  'after a power cut nobody runs the guest, until the operator begins its next life (needs root, qemu)',
  async t => {
    const { deployment, traffic: before } = await heardPair(t);
    const { lab } = deployment;
    lab.kill('a');
    lab.kill('b');

    // What a power cut would wipe is still there: even so nobody may run on from it.
    await reviveHost(deployment, 'a', 'b');
    await reviveHost(deployment, 'b', 'a');
    const stopped = {
      host: 'b',
      state: 'JOIN',
      reason: /gives the machine to a with the backup b$/,
    };
    await assertStopped(t, deployment, before, stopped);
    t.is((await deployment.status('a'))!.state, 'JOIN');

    // Nor is a guest that is simply booted taken for the one that died: its coordinator ends it.
    await killPart(deployment, 'a', 'coordinator');
    await deployment.startGuest('a');
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags: PATIENT });
    await untilState(deployment, 'a', 'JOIN');
    await until('the end of that guest', () => pidsOf(deployment, 'a', 'qemu').length === 0);

    // docs/operations.md, "A machine's next life".
    for (const node of [lab.host('a'), lab.host('b'), lab.witness, lab.client, lab.lan])
      node.kill();
    rmSync(join(lab.client.runDir, 'cas.log'));
    const store = join(lab.witness.runDir, 'store');
    const forget = ['forget', VM, '--store', store, '--yes'];
    const said = await lab.witness.run(process.execPath, [
      inRepository('build/witness/main.js'),
      ...forget,
    ]);
    t.regex(said, /demo is forgotten; --create begins with generation 4/);
    await deployment.startWitness();
    await deployment.startProxy('a');
    await deployment.startProxy('b');
    await deployment.startGuest('a');
    await deployment.startCoordinator('a', { role: 'primary', peers: ['b'], flags: PATIENT });
    t.is((await untilState(deployment, 'a', 'SOLO')).generation, 4);
    await startBackup(deployment, 'b', 'a');
    const traffic = await Traffic.start(lab, TRAFFIC);
    await untilWhole(deployment, traffic, 'a');
    await untilRecords(traffic, 100);
    const { verdict } = await traffic.finish();
    t.deepEqual([verdict.repeated, verdict.uncommitted, verdict.inconclusive], [0, 0, []]);
    // It is another machine: what the client still sends to the one that died, it resets.
    t.deepEqual(
      verdict.offences.filter(text => !text.includes('resets a connection')),
      [],
    );
    t.true(verdict.records.records > 100);
  },
);
