/** The traffic tools: what they count is exact, and a fault is seen as what it is. */
import test, { type ExecutionContext } from 'ava';
import { countAt } from '../../bench/rig/measure.ts';
import { CARD, MACS, Rig, TAP } from '../../bench/rig/rig.ts';
import type { ToolProcess } from '../../bench/rig/tool-process.ts';

const FRAMES = 5_000;
const ENOUGH_MS = 20_000;

async function veth(t: ExecutionContext, offloads = true): Promise<Rig> {
  const rig = await Rig.create({ guest: 'veth', offloads });
  t.teardown(() => rig.remove());
  return rig;
}

async function send(rig: Rig, frames: number, ...fault: (string | number)[]): Promise<void> {
  const what = [CARD, MACS.outside, 60, 7, 'frames', frames, ...fault] as const;
  const sent = await rig.start('guest', 'frame-send', ...what).said('result', ENOUGH_MS);
  if (sent.frames !== frames) throw new Error(`sent ${sent.frames} frames, not ${frames}`);
}

test.serial(
  'needs root: the verifying sink tells losses, reorders and duplicates apart',
  async t => {
    const rig = await veth(t);
    const cases = [
      { fault: [], says: { unique: FRAMES, missing: 0, gaps: 0, late: 0, duplicates: 0 } },
      {
        fault: ['drop', 100],
        says: { unique: FRAMES, missing: 1, gaps: 1, late: 0, duplicates: 0 },
      },
      {
        fault: ['swap', 64],
        says: { unique: FRAMES, missing: 0, gaps: 1, late: 1, duplicates: 0 },
      },
      {
        fault: ['repeat', 4000],
        says: { unique: FRAMES - 1, missing: 1, gaps: 0, late: 0, duplicates: 1 },
      },
    ];
    for (const { fault, says } of cases) {
      // With one frame left out, the numbers go one further.
      const expected = fault[0] === 'drop' ? FRAMES + 1 : FRAMES;
      const sink = await rig.start('outside', 'frame-verify', CARD, 7, expected).ready();
      await send(rig, FRAMES, ...fault);
      sink.finish();
      const found = await sink.said('result', ENOUGH_MS);
      t.like(found, { ...says, frames: FRAMES, foreign: 0, unseen: 0, bytes: FRAMES * 60 });
      t.true(Number(found.firstNs) <= Number(found.lastNs));
    }
  },
);

test.serial(
  'needs root: the verifying sink leaves out frames of another run, and of no run',
  async t => {
    const rig = await veth(t);
    const sink = await rig.start('outside', 'frame-verify', CARD, 8, FRAMES).ready();
    await send(rig, FRAMES);
    sink.finish();
    t.like(await sink.said('result', ENOUGH_MS), { frames: 0, missing: FRAMES, foreign: FRAMES });
  },
);

test.serial('needs root: the counting sink counts every frame', async t => {
  const rig = await veth(t);
  const sink = await rig.start('outside', 'frame-count', CARD).ready();
  await send(rig, 3 * FRAMES);
  sink.finish(`${3 * FRAMES}\n`);
  const looks = (await sink.said('result', ENOUGH_MS)).looks as [number, number][];
  t.is(looks.at(-1)![1] - looks[0]![1], 3 * FRAMES);
});

test.serial('needs root: offloads decide whether TCP goes in frames beyond the MTU', async t => {
  const perFrame: number[] = [];
  for (const offloads of [true, false]) {
    const rig = await veth(t, offloads);
    const receiver = await rig.start('outside', 'tcp-bulk', 'receive', 5201, 2, 0, 100).ready();
    const counter = await rig.start('host', 'frame-count', TAP).ready();
    const sender = rig.start('guest', 'tcp-bulk', 'send', '10.77.0.3', 5201, 2);
    const bytes = Number((await receiver.said('result', ENOUGH_MS)).bytes);
    await endOf(sender);
    counter.finish();
    const looks = (await counter.said('result', ENOUGH_MS)).looks as [number, number][];
    perFrame.push(bytes / (looks.at(-1)![1] - looks[0]![1]));
  }
  t.true(perFrame[0]! > 1500, `${perFrame[0]} bytes per frame with offloads`);
  t.true(perFrame[1]! <= 1460, `${perFrame[1]} bytes per frame without`);
});

/** The sender ends because the receiver has. */
async function endOf(sender: ToolProcess): Promise<void> {
  await sender.said('result', ENOUGH_MS);
}

test.serial('needs root: a tool that fails says why', async t => {
  const rig = await veth(t);
  const tool = rig.start('outside', 'frame-verify', 'nosuch0', 1, 1);
  await t.throwsAsync(tool.ready(), { code: 'CURLING_TOOL_FAILED', message: /nosuch0/ });
  const misled = rig.start('guest', 'frame-send', CARD, MACS.outside, 12, 1, 'frames', 1);
  const answer = misled.said('result', ENOUGH_MS);
  await t.throwsAsync(answer, { code: 'CURLING_TOOL_FAILED', message: /60 to 9014, got 12/ });
});

test('the count at a moment lies on the line between two looks', t => {
  const looks = [
    [1000, 5],
    [2000, 15],
    [4000, 25],
  ] as const;
  t.is(countAt(looks, 1500), 10);
  t.is(countAt(looks, 3000), 20);
  t.is(countAt(looks, 2000), 15);
  t.is(countAt(looks, 10), 5);
  t.is(countAt(looks, 9000), 25);
});
