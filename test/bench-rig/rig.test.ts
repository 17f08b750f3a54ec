/** The rigs: every way carries every load, and nothing stays behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Bursts } from '../../bench/rig/burst.ts';
import { measureFrames, measureRoundTrip, measureTcp } from '../../bench/rig/measure.ts';
import { Rig } from '../../bench/rig/rig.ts';
import { buildTools } from '../../bench/rig/tools.ts';
import { type Way, Ways } from '../../bench/rig/ways.ts';
import { inRepository } from '../../lab/paths.ts';
import { entriesOf, namespacesWith, pidsWithEnvironment } from '../../lab/processes.ts';
import { labDirectory, labMark, readRecord, recordedLabs } from '../../lab/record.ts';

const WAIT_MS = 20_000;
const POLL_MS = 20;
const NAMESPACES_OF_WAYS = 6;

function leftOf(name: string): string[] {
  const left = [...namespacesWith(name), ...pidsWithEnvironment(labMark(name)).map(String)];
  return existsSync(labDirectory(name)) ? [...left, labDirectory(name)] : left;
}

/** The labs that belong to a process. */
function labsOf(pid: number): string[] {
  return recordedLabs().filter(name => readRecord(name)?.owner.pid === pid);
}

test.serial('needs root: a rig leaves nothing behind', async t => {
  for (const guest of ['veth', 'tap'] as const) {
    const rig = await Rig.create({ guest });
    t.teardown(() => rig.remove());
    t.is(namespacesWith(rig.name).length, 3);
    rig.start('outside', 'udp-ping', 'echo', 99);
    rig.remove();
    t.deepEqual(leftOf(rig.name), []);
  }
});

test.serial(
  'needs root: a proxy that does not start is a coded error, and nothing is left',
  async t => {
    const opening = Ways.open({ guest: 'veth' }, { args: ['--nonsense'] });
    await t.throwsAsync(opening, { code: 'CURLING_CONNECT', message: /nonsense/ });
    t.deepEqual(labsOf(process.pid), []);
  },
);

test.serial('needs root: an interrupted process leaves nothing behind', async t => {
  const program = inRepository('build/bench/rig/try.js');
  const child = spawn(process.execPath, [program, 'rtt', '--seconds', '20'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const deadlineMs = Date.now() + WAIT_MS;
  let labs: string[] = [];
  const all = () => labs.flatMap(name => namespacesWith(name));
  while (all().length < NAMESPACES_OF_WAYS && Date.now() < deadlineMs) {
    await sleep(POLL_MS);
    labs = labsOf(child.pid!);
  }
  t.is(all().length, NAMESPACES_OF_WAYS);
  child.kill('SIGINT');
  await exited;
  t.deepEqual(labs.flatMap(leftOf), []);
});

for (const guest of ['veth', 'tap'] as const) {
  test.serial(`needs root: every load takes every way, with a ${guest} at the guest`, async t => {
    const ways = await Ways.open({ guest });
    t.teardown(() => ways.close());
    const list: Way[] = ['bridge', 'bypass', 'pass', 'hold', 'epoch-5'];
    for (const way of list) {
      for (const direction of ['out', 'in'] as const) {
        const tcp = await ways.along(way, course =>
          measureTcp(course, { direction, streams: 2, settleMs: 50, measureMs: 100 }),
        );
        t.true(tcp.gbitPerS > 0.0001 && tcp.gbitPerS < 1000, `${way}: ${tcp.gbitPerS} Gbit/s`);
        const frames = await ways.along(way, course =>
          measureFrames(course, { direction, measureMs: 50 }),
        );
        t.true(frames.mpps >= 0 && frames.mpps < 100, `${way}: ${frames.mpps} Mpps`);
        t.true(frames.lossPercent >= 0 && frames.lossPercent < 100);
        // Only the ring of a real tap may overflow on the way to the guest.
        if (guest === 'veth') t.is(frames.lossPercent, 0, `${way} ${direction}`);
        t.is(frames.cpuNsPerFrame === undefined, way === 'bridge');
      }
      const trip = await ways.along(way, ({ rig }) => measureRoundTrip(rig, { count: 20 }));
      t.true(trip.p50Us > 0 && trip.p50Us <= trip.p99Us);
      t.is(trip.lost, 0);
    }
    t.true(ways.driven!.epochs > 0);
  });
}

test.serial(
  'needs root: a held burst comes out whole, in order and only when it is released',
  async t => {
    const bursts = await Bursts.open({ bufferMib: 64 });
    t.teardown(() => bursts.close());
    for (const bytes of [60, 1250]) {
      const sink = await bursts.expect(2_000);
      await bursts.send(2_000, bytes);
      t.is(await bursts.proxy.untilHeld(2_000), 2_000);
      const { epoch } = await bursts.seal();
      const found = await bursts.releaseTo(sink, epoch);
      t.like(found, { lost: 0, late: 0, duplicates: 0 });
      t.true(found.firstUs > 0, 'not before the command');
      t.true(found.lastUs >= found.firstUs);
    }
  },
);

test.serial('needs root: what was discarded is missing outside', async t => {
  const bursts = await Bursts.open({ bufferMib: 64 });
  t.teardown(() => bursts.close());
  const sink = await bursts.expect(200);
  await bursts.send(200, 60);
  t.is(await bursts.proxy.untilHeld(200), 200);
  await bursts.proxy.execute('discard');
  const { epoch } = await bursts.seal();
  await bursts.release(epoch);
  sink.finish();
  t.like(await sink.said('result', WAIT_MS), { frames: 0, missing: 200 });
});

test.serial('needs root: the tools are compiled once for one set of sources', async t => {
  const folder = await buildTools();
  t.is(await buildTools(), folder);
  t.true(entriesOf(folder).includes('epoch-driver'));
});
