/** A guest with two cards on two taps, protected as one: no word of either card leaves before its checkpoint is committed. */
import test from 'ava';
import { findKernel } from '../../lab/kernel.ts';
import type { CardModel } from '../../lab/shape.ts';
import { assertSilent, logsOnFailure, until } from './faults.ts';
import {
  assertClean,
  deploy,
  protectedPair,
  UNFIT,
  untilRecords,
  untilSurvivor,
} from './scenario.ts';

const qemu = UNFIT ? test.serial.skip : test.serial;
/** Long: the primary, cut off from its backup, is to hold its output until it is killed, and not to ask for the grant. */
const DETECTION_MS = 5_000;
const TRAFFIC = { recordsRate: 300, echoRate: 20, secondCard: true };

/** e1000 where there is a kernel that drives one. */
function card(): CardModel {
  try {
    findKernel('generic');
    return 'e1000';
  } catch {
    return 'virtio-net';
  }
}

qemu(
  'two cards on two taps are sealed and released as one, and run on together (needs root, qemu)',
  async t => {
    t.timeout(240_000);
    const guest = { machine: 'q35', cpus: 2, card: card() } as const;
    t.log(guest);
    const deployment = await deploy(t, { taps: 2, guest });
    logsOnFailure(t, deployment);
    const flags = ['--detection', String(DETECTION_MS)];
    const traffic = await protectedPair(deployment, { traffic: TRAFFIC, flags });
    const { proxy } = (await deployment.status('a'))!;
    t.deepEqual(proxy.taps, ['tap0', 'tap1']);
    await untilRecords(traffic, 100);
    const cas = traffic.casSeen;
    await until('compare-and-swaps by the first card', () => traffic.casSeen > cas + 20);

    // Without acknowledgements nothing is released, by neither card, while frames pile up.
    await deployment.lab.cut('a', 'replication');
    const held = async () => (await deployment.status('a'))?.proxy.heldFrames ?? 0;
    await until('held output', async () => (await held()) > 20);
    const before = traffic.casSeen;
    // A second of frames: the observer hears of what has left up to half a second late.
    await assertSilent(t, traffic, 300, held);
    t.true(traffic.casSeen <= before + 1, 'compare-and-swaps came out by the first card');

    deployment.lab.kill('a');
    const survivor = await untilSurvivor(deployment, 'b');
    t.deepEqual(survivor.proxy.taps, ['tap0', 'tap1']);
    const later = traffic.casSeen;
    await untilRecords(traffic, 200);
    await until('compare-and-swaps by the first card', () => traffic.casSeen > later + 20);
    const { verdict } = await traffic.finish();
    assertClean(t, verdict);
  },
);
