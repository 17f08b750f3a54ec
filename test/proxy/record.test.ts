import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { run } from '../../common/run.ts';
import { VNET_HEADER_BYTES } from '../../proxy/vlan-tag.ts';
import { KINDS, KINDS_MTU } from './frame-kinds.ts';
import { numberedFrame, numberOf, type RunningProxy, TapLab, until } from './lab.ts';
import { type ReadPacket, readPcapng } from './pcapng-reader.ts';

const TRIES_MAX = 2000;

/** Starts a proxy that records whole frames. */
async function start(t: ExecutionContext, ...args: string[]) {
  const lab = await TapLab.create(t);
  await lab.ip(['link set up0 mtu 9000', 'link set tap0 mtu 9000']);
  const file = path.join(lab.folder, 'out.pcapng');
  const whole = ['--record-snap', '262144'];
  const proxy = await lab.startProxy('--record', file, ...whole, ...args);
  return { lab, proxy, file };
}

async function sealAndRelease(proxy: RunningProxy): Promise<void> {
  const { epoch } = await proxy.execute('seal');
  await proxy.execute('release', { epoch });
}

/** Waits until a counter has come to `count`. */
async function counted(proxy: RunningProxy, name: string, count: number): Promise<void> {
  let value: unknown;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    value = (await proxy.execute('query-stats'))[name];
    if (value === count) return;
    await sleep(5);
  }
  throw new Error(`${name} is ${value}, expected ${count}`);
}

/** The number in a recorded frame of the tests. */
function numberIn({ bytes }: ReadPacket): number {
  return bytes.readUInt32BE(14);
}

/** The frames and times that tcpdump finds in a file. */
async function readByTcpdump(file: string): Promise<{ atNs: bigint; bytes: Buffer }[]> {
  const args = ['-r', file, '-Z', 'root', '-n', '-tt', '-xx', '--time-stamp-precision=nano'];
  const packets: { atNs: bigint; bytes: Buffer }[] = [];
  for (const line of (await run('tcpdump', args)).split('\n')) {
    const start = /^(\d+)\.(\d{9}) /.exec(line);
    if (start) packets.push({ atNs: BigInt(start[1]! + start[2]!), bytes: Buffer.alloc(0) });
    const row = /^\t0x[0-9a-f]+: {2}([0-9a-f ]+)$/.exec(line);
    const last = packets.at(-1);
    if (row && last)
      last.bytes = Buffer.concat([last.bytes, Buffer.from(row[1]!.replaceAll(' ', ''), 'hex')]);
  }
  return packets;
}

test('needs root, namespaces: the record is what came out, in its order, with epochs, and nothing that was discarded', async t => {
  const { lab, proxy, file } = await start(t);
  const began = BigInt(Date.now()) * 1_000_000n;
  const send = (...numbers: number[]) => {
    for (const number of numbers)
      lab.guest.send(numberedFrame(number, [60, 1514, 9014, 61][number % 4]));
  };
  send(0, 1, 2, 3);
  await sealAndRelease(proxy);
  send(4);
  await proxy.execute('seal');
  await proxy.execute('seal');
  send(5, 6);
  await proxy.execute('seal');
  await proxy.execute('release', { epoch: 4 });
  const out = await lab.outside.receiveCount(7);
  send(100, 101);
  await proxy.execute('seal');
  send(102);
  await proxy.execute('discard');
  await proxy.execute('hold', { epoch: 70 });
  send(7);
  await sealAndRelease(proxy);
  send(8);
  await proxy.execute('pass');
  send(9, 10);
  out.push(...(await lab.outside.receiveCount(4)));
  await proxy.execute('hold');
  send(103);
  await proxy.execute('discard');
  await proxy.execute('bypass');
  send(200);
  t.deepEqual((await lab.outside.receiveCount(1)).map(numberOf), [200]);
  await counted(proxy, 'framesRecorded', 11);
  const stats = await proxy.execute('query-stats');
  t.is(stats.framesSent, 11);
  t.is(stats.framesUnrecorded, 0);
  t.is(stats.recordFailures, 0);
  t.like(await proxy.status(), { recording: { file, state: 'on', bytesMax: 2 ** 30 } });
  t.is(await proxy.end('SIGTERM'), 0);

  const { packets, statistics, interfaces, tailBytes } = readPcapng(fs.readFileSync(file));
  const frames = out.map(frame => frame.subarray(VNET_HEADER_BYTES));
  t.deepEqual(
    packets.map(({ bytes }) => bytes),
    frames,
  );
  t.deepEqual(
    packets.map(numberIn),
    Array.from({ length: 11 }, (_, number) => number),
  );
  const epochs = [1, 1, 1, 1, 2, 4, 4, 70, 71, 72, 72];
  t.deepEqual(
    packets.map(({ comment }) => comment),
    epochs.map(epoch => `epoch ${epoch}`),
  );
  t.like(interfaces, [{ name: 'tap0', about: 'released to br0' }]);
  t.deepEqual(statistics, [{ interface: 0, frames: 11, missing: 0, delivered: 11 }]);
  t.is(tailBytes, 0);
  const times = [began, ...packets.map(({ atNs }) => atNs), BigInt(Date.now() + 1) * 1_000_000n];
  t.deepEqual(
    times,
    times.toSorted((one, other) => (one < other ? -1 : 1)),
  );
  const read = packets.map(({ atNs, bytes }) => ({ atNs, bytes }));
  t.deepEqual(await readByTcpdump(file), read);
});

test('needs root, namespaces: every kind of frame is recorded as it left, with its tags, and is said to be unfinished', async t => {
  const { lab, proxy, file } = await start(t);
  await lab.ip(['br0', 'tap0', 'up0', 'cp-tap0'].map(name => `link set ${name} mtu ${KINDS_MTU}`));
  const kinds = KINDS.filter(({ leaves }) => leaves);
  for (const { frame, header } of kinds) lab.guest.send(frame, header);
  await sealAndRelease(proxy);
  await counted(proxy, 'framesRecorded', kinds.length);
  await proxy.end('SIGTERM');
  const { packets } = readPcapng(fs.readFileSync(file));
  t.is(packets.length, kinds.length);
  for (const [index, { name, frame, header }] of kinds.entries()) {
    const packet = packets[index]!;
    t.true(packet.bytes.equals(frame), name);
    const [flags, segmentation] = [header[0]!, header[1]!];
    t.is(packet.flags, 2 + (flags & 1 ? 0x200 : 0) + (segmentation === 0 ? 0 : 0x800), name);
  }
  const said = await run('tcpdump', ['-r', file, '-Z', 'root', '--count']);
  t.regex(said, new RegExp(`^${kinds.length} packets`));
});

for (const [args, snapBytes] of [
  [[], 1600],
  [['--record-snap', '101'], 101],
] as const) {
  const how = args.join(' ') || 'no option';
  test(`needs root, namespaces: with ${how} ${snapBytes} bytes of each frame are recorded`, async t => {
    const lab = await TapLab.create(t);
    await lab.ip(['link set up0 mtu 9000', 'link set tap0 mtu 9000']);
    const file = path.join(lab.folder, 'out.pcapng');
    const proxy = await lab.startProxy('--record', file, ...args);
    const frames = [100, 101, 102, 1599, 1600, 1601, 9014].map(length => numberedFrame(1, length));
    for (const frame of frames) lab.guest.send(frame);
    await sealAndRelease(proxy);
    await lab.outside.receiveCount(frames.length);
    await proxy.end('SIGTERM');
    const { packets } = readPcapng(fs.readFileSync(file));
    t.deepEqual(
      packets.map(({ bytes, frameBytes }) => ({ bytes, frameBytes })),
      frames.map(frame => ({ bytes: frame.subarray(0, snapBytes), frameBytes: frame.length })),
    );
    const said = await run('tcpdump', ['-r', file, '-Z', 'root', '-n', '-e']);
    t.true(said.includes('length 9014'), said);
  });
}

test('needs root, namespaces: a proxy that is killed leaves a record that can be read', async t => {
  const { lab, proxy, file } = await start(t);
  for (let number = 0; number < 100; number++) lab.guest.send(numberedFrame(number));
  await sealAndRelease(proxy);
  await lab.outside.receiveCount(100);
  await counted(proxy, 'framesRecorded', 100);
  await proxy.end('SIGKILL');
  const { packets } = readPcapng(fs.readFileSync(file));
  t.deepEqual(
    packets.map(numberIn),
    Array.from({ length: 100 }, (_, number) => number),
  );
  t.is((await readByTcpdump(file)).length, 100);
});

test('needs root, namespaces: a disk that is full ends the record, whole, and nothing else', async t => {
  const lab = await TapLab.create(t);
  const disk = path.join(lab.folder, 'disk');
  fs.mkdirSync(disk);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', disk]);
  try {
    const file = path.join(disk, 'out.pcapng');
    const proxy = await lab.startProxy('--record', file);
    for (let number = 0; number < 1000; number++) lab.guest.send(numberedFrame(number, 1000));
    await sealAndRelease(proxy);
    t.is((await lab.outside.receiveCount(1000)).length, 1000);
    await counted(proxy, 'recordFailures', 1);
    lab.guest.send(numberedFrame(1000));
    await sealAndRelease(proxy);
    t.deepEqual((await lab.outside.receiveCount(1)).map(numberOf), [1000]);
    t.like(await proxy.status(), { state: 'hold', recording: { state: 'failed' } });
    const { framesSent, framesRecorded, framesUnrecorded } = await proxy.execute('query-stats');
    t.is(framesSent, 1001);
    t.is(Number(framesRecorded) + Number(framesUnrecorded), 1001);
    t.is(await proxy.end('SIGTERM'), 0);
    t.is(proxy.log.match(/the recording has failed/g)?.length, 1);
    t.regex(proxy.log, /ENOSPC/);
    const { packets, statistics, tailBytes } = readPcapng(fs.readFileSync(file));
    t.is(tailBytes, 0);
    t.is(packets.length, Number(framesRecorded));
    t.true(packets.length > 200);
    t.deepEqual(
      packets.map(numberIn),
      Array.from(packets, (_, number) => number),
    );
    t.is(statistics[0]?.delivered, packets.length);
  } finally {
    for (const proxy of lab.proxies) await proxy.end('SIGKILL');
    await run('umount', [disk]);
  }
});

test('needs root, namespaces: several taps are recorded in one file, each as an interface', async t => {
  const lab = await TapLab.create(t);
  const guest = await lab.addTap('tap1');
  const file = path.join(lab.folder, 'out.pcapng');
  const proxy = lab.spawnProxy(...['--tap', 'tap0', '--tap', 'tap1'], '--record', file);
  await proxy.connect();
  for (let number = 0; number < 20; number++)
    (number % 2 === 0 ? lab.guest : guest).send(numberedFrame(number));
  await sealAndRelease(proxy);
  await lab.outside.receiveCount(20);
  await proxy.end('SIGTERM');
  const { packets, interfaces, statistics } = readPcapng(fs.readFileSync(file));
  t.deepEqual(
    interfaces.map(({ name }) => name),
    ['tap0', 'tap1'],
  );
  for (const tap of [0, 1]) {
    const numbers = packets.filter(packet => packet.interface === tap).map(numberIn);
    t.deepEqual(
      numbers,
      Array.from({ length: 10 }, (_, index) => index * 2 + tap),
    );
    t.is(statistics[tap]!.delivered, 10);
  }
});

test('needs root, namespaces: a file that is there stops the recording, not the proxy', async t => {
  const lab = await TapLab.create(t);
  const file = path.join(lab.folder, 'out.pcapng');
  fs.writeFileSync(file, 'evidence');
  const proxy = await lab.startProxy('--record', file);
  await until(() => proxy.log.includes('is not empty'), 'the line');
  lab.guest.send(numberedFrame(1));
  await sealAndRelease(proxy);
  await lab.outside.receiveCount(1);
  t.like(await proxy.execute('query-stats'), { framesUnrecorded: 1, recordFailures: 1 });
  t.is(await proxy.end('SIGTERM'), 0);
  t.is(fs.readFileSync(file, 'utf8'), 'evidence');
});
