import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import {
  ETHER_TYPE,
  ethernet,
  GSO,
  GUEST_MAC,
  OUTSIDE_MAC,
  payload,
  plain,
  received,
  type TapFrame,
  tcp,
  toTap,
  udp,
  vlanTag,
  wireFrames,
} from './frame-builders.ts';
import { numberedFrame, numberOf, type RunningProxy, TapLab, until } from './lab.ts';
import { TapQueues } from './tap-queues.ts';

const QUEUES = 4;

async function openLab(
  t: ExecutionContext,
): Promise<{ lab: TapLab; queues: TapQueues; proxy: RunningProxy }> {
  const lab = await TapLab.create(t);
  const queues = await TapQueues.create(lab, 'mq0', QUEUES);
  t.teardown(() => queues.close());
  await lab.ip(['link set up0 txqueuelen 50000']);
  const proxy = await lab.spawnProxy('--tap', 'mq0', '--buffer-mib', '64').connect();
  return { lab, queues, proxy };
}

function numbered(number: number): TapFrame {
  return plain(numberedFrame(number));
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

test('needs root: what every queue of a tap sends is held, sealed together, and leaves in order', async t => {
  const { lab, queues, proxy } = await openLab(t);
  for (const number of range(0, 100)) queues.send((number * 3) % QUEUES, numbered(number));
  t.like(await proxy.execute('seal', { epoch: 1 }), { frames: 100, bytes: 6000 });
  for (const number of range(100, 20)) queues.send(number % QUEUES, numbered(number));
  await until(() => proxy.epochsOf('OUTPUT_PENDING').length === 2, 'two events');
  t.deepEqual(proxy.epochsOf('OUTPUT_PENDING'), [1, 2]);
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('release', { epoch: 1 });
  t.deepEqual((await lab.outside.receiveCount(100)).map(numberOf), range(0, 100));
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('seal', { epoch: 2 });
  await proxy.execute('release', { epoch: 2 });
  t.deepEqual((await lab.outside.receiveCount(20)).map(numberOf), range(100, 20));
});

test('needs root: offloads and tags of every queue outlive the hold', async t => {
  const { lab, queues, proxy } = await openLab(t);
  const tags = [vlanTag(ETHER_TYPE.vlan, 5)];
  const tso = { gsoType: GSO.tcp6, segmentBytes: 1400 };
  const kinds = [
    toTap(udp(4, payload(700), 'partial'), { tags }),
    toTap(tcp(6, payload(60_000), 'partial'), {}, tso),
    toTap(tcp(6, payload(60_000), 'partial'), { tags }, tso),
    plain(ethernet(ETHER_TYPE.local, payload(1500), { tags })),
  ];
  const sent = range(0, QUEUES).flatMap(queue => kinds.map(kind => ({ queue, kind })));
  for (const { queue, kind } of sent) queues.send(queue, kind);
  t.like(await proxy.execute('seal', { epoch: 1 }), { frames: sent.length });
  await proxy.execute('release', { epoch: 1 });
  const left = (await lab.outside.receiveCount(sent.length)).map(received);
  t.deepEqual(
    left.map(one => one.frame),
    sent.map(one => one.kind.frame),
  );
  t.deepEqual(
    left.flatMap(wireFrames),
    sent.flatMap(one => wireFrames(one.kind)),
  );
});

test('needs root: each flow from outside stays on one queue, in order, while the guest is held', async t => {
  const { lab, queues } = await openLab(t);
  const flows = range(0, 32).map(flow => {
    const source = `10.9.1.${flow + 1}`;
    const fields = { destination: GUEST_MAC, source: OUTSIDE_MAC };
    return range(0, 5).map(number =>
      toTap(udp(4, payload(64, flow * 5 + number), 'whole', { source }), fields),
    );
  });
  for (const number of range(0, 5)) {
    for (const flow of flows) lab.outside.send(flow[number]!.frame, flow[number]!.header);
  }
  const all = range(0, QUEUES).map(queue => queues.receiveAll(queue).map(received));
  const isFrom = (flow: TapFrame[]) => (one: TapFrame) =>
    one.frame.length === flow[0]!.frame.length &&
    one.frame.subarray(26, 30).equals(flow[0]!.frame.subarray(26, 30));
  for (const flow of flows) {
    const queuesOfIt = all.map(list => list.filter(isFrom(flow))).filter(list => list.length > 0);
    t.deepEqual(queuesOfIt, [flow]);
  }
  t.true(all.filter(list => list.length > 0).length > 1);
});

test('needs root: a queue switched off and on in a hold loses nothing and opens nothing', async t => {
  const { lab, queues, proxy } = await openLab(t);
  queues.send(1, numbered(1));
  queues.attach(1, false);
  queues.send(0, numbered(2));
  queues.attach(1, true);
  queues.send(1, numbered(3));
  queues.send(3, numbered(4));
  t.like(await proxy.execute('seal', { epoch: 1 }), { frames: 4 });
  t.deepEqual(lab.outside.receiveAll(), []);
  await proxy.execute('release', { epoch: 1 });
  t.deepEqual((await lab.outside.receiveCount(4)).map(numberOf), [1, 2, 3, 4]);
});

test('needs root: killed, it leaves every queue closed', async t => {
  const { lab, queues, proxy } = await openLab(t);
  for (const queue of range(0, QUEUES)) queues.send(queue, numbered(queue));
  await proxy.end('SIGKILL');
  for (const queue of range(0, QUEUES)) queues.send(queue, numbered(10 + queue));
  t.deepEqual(lab.outside.receiveAll(), []);
  const next = await lab.spawnProxy('--tap', 'mq0').connect();
  for (const queue of range(0, QUEUES)) queues.send(queue, numbered(20 + queue));
  t.like(await next.execute('seal', { epoch: 1 }), { frames: QUEUES });
  await next.execute('release', { epoch: 1 });
  t.deepEqual((await lab.outside.receiveCount(QUEUES)).map(numberOf), range(20, QUEUES));
});

const FRAMES_PER_WRITER = 4000;

/** A thread that writes numbered frames to one queue as fast as it can, from `number` on, and says when it is done. */
const WRITER = `
const { workerData, parentPort } = require('node:worker_threads');
const fs = require('node:fs');
const { fd, template, first, count } = workerData;
const bytes = Buffer.from(template);
for (let index = 0; index < count; index++) {
  bytes.writeUInt32BE(first + index, 24);
  fs.writeSync(fd, bytes);
}
parentPort.postMessage('done');
`;

test('needs root: queues that send at once keep their own order over many seals, and lose nothing', async t => {
  const { lab, queues, proxy } = await openLab(t);
  const { header, frame } = numbered(0);
  let writing = QUEUES;
  const writers = range(0, QUEUES).map(queue => {
    const first = queue * 1_000_000;
    const template = Buffer.concat([header, frame]);
    const workerData = { fd: queues.fds[queue], template, first, count: FRAMES_PER_WRITER };
    const worker = new Worker(WRITER, { eval: true, workerData });
    worker.on('message', () => writing--);
    return worker;
  });
  t.teardown(() => Promise.all(writers.map(worker => worker.terminate())));
  const numbers: number[] = [];
  for (let sealed = 1; writing > 0 || sealed > 0; ) {
    const was = writing;
    const { epoch, frames } = await proxy.execute('seal');
    await proxy.execute('release', { epoch: epoch as number });
    if ((frames as number) > 0) {
      numbers.push(...(await lab.outside.receiveCount(frames as number)).map(numberOf));
    }
    sealed = was > 0 ? 1 : (frames as number);
  }
  for (const queue of range(0, QUEUES)) {
    const first = queue * 1_000_000;
    const own = numbers.filter(number => number >= first && number < first + 1_000_000);
    t.deepEqual(own, range(first, FRAMES_PER_WRITER));
  }
  t.like(await proxy.execute('query-stats'), { kernelDrops: 0, sendErrors: 0 });
});
