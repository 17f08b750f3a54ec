/** A long transfer over one TCP connection goes on across a failover, every byte right. */
import test from 'ava';
import { GUEST_ADDRESS } from '../../lab/addresses.ts';
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { ClientProcess } from '../../lab/client-process.ts';
import {
  assertClean,
  deploy,
  protectedPair,
  UNFIT,
  untilRecords,
  untilSurvivor,
} from './scenario.ts';

const BYTES = 24 << 20;

(UNFIT ? test.serial.skip : test.serial)(
  'a transfer of 24 MiB from the guest survives its host (needs root, qemu)',
  async t => {
    const deployment = await deploy(t);
    const traffic = await protectedPair(deployment, { traffic: { notCaptured: 'tcp port 19' } });
    const to = `${GUEST_ADDRESS}:${SERVICE_PORTS.bulk}`;
    const bulk = await ClientProcess.start(deployment.lab.client, 'bulk', [
      ...['--to', to, '--bytes', String(BYTES), '--progress', '50'],
    ]);
    const ended = bulk.ended(60_000);
    while (Number(bulk.latest.bytes ?? 0) < BYTES / 8) await untilRecords(traffic, 1);
    t.true(Number(bulk.latest.bytes) < BYTES, 'the host dies in the middle');
    deployment.lab.kill('a');
    await untilSurvivor(deployment, 'b');
    const summary = await ended;
    t.like(summary, { bytes: BYTES, wrongBytes: 0, complete: true });
    assertClean(t, (await traffic.finish()).verdict);
  },
);
