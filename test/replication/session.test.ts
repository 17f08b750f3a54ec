import test from 'ava';
import fc from 'fast-check';
import { CurlingError } from '../../common/errors.ts';
import { encodeFrame, jsonPayload } from '../../coordinator/replication/encode.ts';
import { type FrameAddress, MESSAGE } from '../../coordinator/replication/types.ts';
import { ADDRESS, chunkOf, RECEIVER, SENDER } from './fixtures.ts';
import { deliver } from './memory-link.ts';
import { LAYOUT, ListSink, World } from './world.ts';

const OTHER = 'cc'.repeat(16);

test('a full copy and checkpoints are committed, acknowledged before they are applied', async t => {
  const world = new World({ pieceBytes: 777 });
  await world.pair();
  t.deepEqual(world.backup, ['hello hostA', 'full 2 5', 'committed 5']);
  t.deepEqual(world.primary, ['welcome hostB', 'sent', 'ack 5']);
  t.deepEqual(world.sink.layout, LAYOUT);
  t.deepEqual(world.sink.identity, { generation: 2, sender: SENDER, receiver: RECEIVER });
  world.checkpoint(6);
  await world.settle();
  t.is(world.primary.at(-1), 'ack 6');
  t.deepEqual(world.sink.acks, [5, 6]);
  t.deepEqual(world.sink.log.slice(-5), ['pages', 'device', 'commit 6', 'ack 6', 'apply']);
});

test('pages leave while the checkpoint is still open', async t => {
  const world = new World();
  await world.pair();
  world.session.beginCheckpoint(6);
  world.session.chunk(chunkOf([{ block: 0, page: 1, byte: 1 }]), () => {});
  await world.settle();
  t.deepEqual(world.sink.log.slice(-2), ['begin 6', 'pages']);
});

test('the window closes at the number of checkpoints in flight and opens with an ack', async t => {
  const world = new World({ acks: false, sender: { checkpointsMax: 2 } });
  await world.pair();
  world.checkpoint(6);
  t.false(world.session.window);
  world.receiver.ack(5);
  await world.settle();
  t.true(world.primary.includes('window'));
  t.true(world.session.window);
  world.checkpoint(7);
  t.deepEqual(world.session.inFlight.checkpoints, 2);
  t.false(world.session.window);
  await world.settle();
  t.is(world.sink.committed, 7);
  // One acknowledgement may speak for several.
  world.receiver.ack(7);
  await world.settle();
  t.deepEqual(world.session.inFlight, { checkpoints: 0, bytes: 0 });
});

test('the window closes at the bytes in flight', async t => {
  const world = new World({ acks: false, sender: { checkpointsMax: 9, inFlightBytesMax: 20_000 } });
  await world.pair();
  world.receiver.ack(5);
  await world.settle();
  world.checkpoint(6);
  world.checkpoint(7);
  t.true(world.session.window);
  world.checkpoint(8);
  t.false(world.session.window);
  await world.settle();
  world.receiver.ack(6);
  await world.settle();
  t.true(world.session.window);
});

test('an aborted checkpoint leaves the committed state; its epoch may be sent again', async t => {
  const world = new World();
  await world.pair();
  world.session.beginCheckpoint(6);
  world.fill();
  world.session.abort();
  await world.settle();
  t.is(world.sink.committed, 5);
  t.is(world.sink.log.at(-1), 'abort');
  world.checkpoint(6);
  await world.settle();
  t.is(world.sink.committed, 6);
});

test('a primary that dies anywhere in a checkpoint leaves the committed state', async t => {
  const measure = new World();
  await measure.pair();
  measure.checkpoint(6);
  const whole = Buffer.concat(measure.a.link.outbox);
  for (let cut = 0; cut < whole.length; cut += 97) {
    const world = new World();
    await world.pair();
    world.receiver.channel.receive(whole.subarray(0, cut), 0);
    world.receiver.channel.lost();
    if (world.sink.committed !== 5) return t.fail(`cut at ${cut}`);
    t.is(world.backup.at(-1), 'closed CURLING_CONNECTION_LOST');
  }
  const world = new World();
  await world.pair();
  world.receiver.channel.receive(whole, 0);
  t.is(world.sink.committed, 6);
});

/** What the backup does with a checkpoint begin of this address. */
async function begin(type: 'fullBegin' | 'checkpointBegin', change: Partial<FrameAddress>) {
  const world = new World();
  await world.pair();
  const payload = type === 'fullBegin' ? jsonPayload({}) : [];
  const address = { ...ADDRESS, generation: 2, epoch: 6, ...change };
  const { buffers } = encodeFrame(MESSAGE[type], address, payload);
  world.receiver.channel.receive(Buffer.concat(buffers), 0);
  await world.settle();
  return world;
}

test('a checkpoint of another epoch, generation, incarnation or VM is refused', async t => {
  const fine = await begin('checkpointBegin', {});
  t.is(fine.sink.log.at(-1), 'begin 6');
  const cases: [Partial<FrameAddress>, string][] = [
    [{ epoch: 5 }, 'FRAME'],
    [{ epoch: 7 }, 'FRAME'],
    [{ generation: 1 }, 'IDENTITY'],
    [{ generation: 3 }, 'IDENTITY'],
    [{ sender: OTHER }, 'IDENTITY'],
    [{ receiver: OTHER }, 'IDENTITY'],
    [{ vmId: OTHER }, 'IDENTITY'],
  ];
  for (const [change, cause] of cases) {
    const world = await begin('checkpointBegin', change);
    const code = `CURLING_REPLICATION_${cause}`;
    t.is(world.backup.at(-1), `closed ${code}`, JSON.stringify(change));
    t.deepEqual(world.primary.slice(-2), [`refused ${code}`, `closed ${code}`]);
    t.is(world.sink.committed, 5);
  }
});

test('a full copy for another incarnation is refused and what is held stays', async t => {
  const world = await begin('fullBegin', { receiver: OTHER });
  t.is(world.backup.at(-1), 'closed CURLING_REPLICATION_IDENTITY');
  t.is(world.sink.committed, 5);
});

test('the integrator may refuse a full copy', async t => {
  const world = new World({
    receiver: {
      full: () => {
        throw new CurlingError('CURLING_STATE', 'not now');
      },
    },
  });
  await world.pair();
  t.true(world.primary.includes('refused CURLING_STATE'));
  t.is(world.sink.committed, undefined);
});

test('the integrator may refuse a primary', async t => {
  const world = new World({
    receiver: {
      hello: async () => {
        throw new CurlingError('CURLING_QEMU_MISMATCH', 'another machine');
      },
    },
  });
  await world.greet();
  t.deepEqual(world.primary, ['refused CURLING_QEMU_MISMATCH', 'closed CURLING_QEMU_MISMATCH']);
});

test('another VM name is refused on both sides', async t => {
  const world = new World({ vm: 'vm2' });
  await world.greet();
  t.deepEqual(world.backup, ['closed CURLING_REPLICATION_IDENTITY']);
  t.is(world.primary[0], 'refused CURLING_REPLICATION_IDENTITY');
});

test('a primary of another version gets a refusal that it can read', async t => {
  const world = new World();
  world.session.start();
  const hello = Buffer.concat(world.a.link.outbox.splice(0));
  hello.writeUInt16BE(2, 4);
  world.receiver.channel.receive(hello, 0);
  t.deepEqual(world.backup, ['closed CURLING_REPLICATION_VERSION']);
  const refusal = Buffer.concat(world.b.link.outbox.splice(0));
  // The primary of version 2 sees a message of version 1, which for it is another one.
  refusal.writeUInt16BE(3, 4);
  world.session.channel.receive(refusal, 0);
  t.deepEqual(world.primary, [
    'refused CURLING_REPLICATION_VERSION',
    'closed CURLING_REPLICATION_VERSION',
  ]);
});

test('garbage ends the connection without an answer', async t => {
  const world = new World();
  world.receiver.channel.receive(Buffer.from('GET / HTTP/1.1\r\n\r\n'), 0);
  t.deepEqual(world.backup, ['closed CURLING_REPLICATION_FRAME']);
  t.is(world.b.link.outbox.length, 0);
  t.true(world.b.link.ended);
});

test('a damaged page ends the connection and nothing of it counts', async t => {
  const world = new World();
  await world.pair();
  world.checkpoint(6);
  const bytes = Buffer.concat(world.a.link.outbox.splice(0));
  bytes[3000]! ^= 4;
  world.receiver.channel.receive(bytes, 0);
  await world.settle();
  t.is(world.sink.committed, 5);
  t.true(world.primary.includes('refused CURLING_REPLICATION_DIGEST'));
});

test('a checkpoint with a message left out is not committed', async t => {
  const world = new World();
  await world.pair();
  world.checkpoint(6);
  // Begin, pages, device, commit: each whole and valid.
  world.a.link.outbox.splice(1, 1);
  await world.settle();
  t.is(world.sink.committed, 5);
  t.is(world.backup.at(-1), 'closed CURLING_REPLICATION_FRAME');
});

test('a checkpoint larger than the backup stages is given up before the backup sees it', async t => {
  const world = new World();
  await world.pair();
  world.session.beginCheckpoint(6);
  const pages = Array.from({ length: 64 }, (_, page) => ({ block: 0, page, byte: 1 }));
  let sent = 0;
  for (let time = 0; time < 5; time++) world.session.chunk(chunkOf(pages), () => sent++);
  world.session.device(Buffer.alloc(100));
  world.session.commit();
  await world.settle();
  t.is(sent, 5, 'the staging has its memory again');
  t.is(world.primary.at(-1), 'closed CURLING_REPLICATION_LIMIT');
  t.deepEqual(world.sink.log.slice(-2), ['pages', 'abort']);
  t.regex(world.backup.at(-2)!, /^bye epoch 6 has more than the backup's bound of 1048576 bytes/);
  t.is(world.backup.at(-1), 'closed well');
  t.is(world.sink.committed, 5);
});

test('a checkpoint larger than the backup stages is refused', async t => {
  const world = new World();
  await world.pair();
  // Its bound was another one when it admitted the primary.
  world.sink.stagedBytesMax = 1 << 19;
  world.session.beginCheckpoint(6);
  const pages = Array.from({ length: 64 }, (_, page) => ({ block: 0, page, byte: 1 }));
  for (let time = 0; time < 5; time++) world.session.chunk(chunkOf(pages), () => {});
  await world.settle();
  t.is(world.backup.at(-1), 'closed CURLING_REPLICATION_LIMIT');
  t.is(world.sink.committed, 5);
});

test('pages that the guest does not have are refused', async t => {
  for (const page of [
    { block: 0, page: 64, byte: 1 },
    { block: 2, page: 0, byte: 1 },
  ]) {
    const world = new World();
    await world.pair();
    world.session.beginCheckpoint(6);
    world.session.chunk(chunkOf([page]), () => {});
    await world.settle();
    t.is(world.backup.at(-1), 'closed CURLING_REPLICATION_FRAME');
  }
});

test('a frozen backup accepts and acknowledges nothing', async t => {
  const world = new World({ acks: false });
  await world.pair();
  world.receiver.freeze();
  t.false(world.receiver.ack(5));
  world.checkpoint(6);
  await world.settle();
  t.is(world.sink.committed, 5);
  t.deepEqual(world.sink.acks, []);
  t.is(world.receiver.dropped, 4);
  t.false(world.primary.some(text => text.startsWith('ack')));
});

test('an ack of another incarnation ends all, one of an older generation is counted', async t => {
  const world = new World({ acks: false });
  await world.pair();
  world.checkpoint(6);
  const ack = (change: Partial<FrameAddress>) => {
    const address = { ...ADDRESS, generation: 2, epoch: 6, ...change };
    const { buffers } = encodeFrame(MESSAGE.ack, address);
    world.session.channel.receive(Buffer.concat(buffers), 0);
  };
  ack({ generation: 1 });
  t.is(world.session.staleAcks, 1);
  ack({ receiver: OTHER });
  t.is(world.primary.at(-1), 'closed CURLING_REPLICATION_IDENTITY');
  t.false(world.primary.some(text => text.startsWith('ack')));
});

test('an acknowledgement of what was not sent, or twice, ends the connection', async t => {
  for (const epochs of [[6], [5, 5], [4]]) {
    const world = new World({ acks: false });
    await world.pair();
    for (const epoch of epochs) {
      const { buffers } = encodeFrame(MESSAGE.ack, { ...ADDRESS, generation: 2, epoch });
      world.session.channel.receive(Buffer.concat(buffers), 0);
    }
    t.is(world.primary.at(-1), 'closed CURLING_REPLICATION_FRAME', String(epochs));
  }
});

test('a backup that kept its state goes on with the next checkpoint', async t => {
  const first = new World({ acks: false });
  await first.pair();
  first.receiver.channel.lost();
  const world = new World({ sink: first.sink });
  await world.greet();
  // To say what is committed is to acknowledge it, so it is noted first.
  t.deepEqual(world.sink.acks, [5]);
  world.checkpoint(6);
  await world.settle();
  t.is(world.primary.at(-1), 'ack 6');
});

test('a restarted primary is told nothing of the pair of the one before', async t => {
  const first = new World();
  await first.pair();
  const world = new World({ sink: first.sink, sender: { sender: OTHER } });
  await world.greet();
  t.throws(() => world.session.beginCheckpoint(6), { message: /follows a full copy/ });
});

test('beats measure the round trip without the time they lay at the peer', async t => {
  const world = new World();
  await world.greet();
  world.session.channel.beat(1000);
  deliver(world.a, world.b, 50, 5003);
  world.receiver.channel.beat(5043);
  deliver(world.b, world.a, 50, 1047);
  t.is(world.session.channel.roundTripMs, 7);
});

test('loss of the guest and the end are told', async t => {
  const world = new World();
  await world.pair();
  world.session.guestLost('QEMU exited');
  world.session.bye('unprotect');
  await world.settle();
  t.deepEqual(world.backup.slice(-3), ['lost QEMU exited', 'bye unprotect', 'closed well']);
  t.is(world.sink.committed, 5);
});

test('what becomes of the standby is told, to a primary that is admitted', async t => {
  const world = new World();
  world.receiver.standby({ up: false, reason: 'too early' });
  await world.pair();
  world.receiver.standby({ up: false, reason: 'it died' });
  world.receiver.standby({ up: true, reason: '\u0001'.repeat(9_000) });
  await world.settle();
  const said = world.primary.filter(line => line.startsWith('standby'));
  t.is(said.length, 2);
  t.is(said[0], 'standby gone it died');
  t.true(said[1]!.startsWith('standby up \u0001'));
  world.receiver.freeze();
  world.receiver.standby({ up: false, reason: 'too late' });
  await world.settle();
  t.is(world.primary.filter(line => line.startsWith('standby')).length, 2);
});

test('after the end every chunk still comes back', async t => {
  const world = new World();
  await world.pair();
  world.session.beginCheckpoint(6);
  world.session.channel.lost();
  world.primary.length = 0;
  world.fill();
  world.session.commit();
  await world.settle();
  t.deepEqual(world.primary, ['sent']);
});

test('whatever bytes a backup gets, it ends in good order and keeps what it committed', async t => {
  const model = new World();
  await model.pair();
  model.checkpoint(6);
  const whole = Buffer.concat(model.a.link.outbox);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(whole.length * 8 - 1),
      fc.integer({ min: 1, max: 5000 }),
      async (bit, size) => {
        const world = new World({ sink: new ListSink() });
        await world.pair();
        const bad = Buffer.from(whole);
        bad[bit >> 3]! ^= 1 << (bit & 7);
        for (let at = 0; at < bad.length; at += size) {
          world.receiver.channel.receive(bad.subarray(at, at + size), 0);
        }
        world.receiver.channel.lost();
        t.is(world.sink.committed, 5);
        t.is(world.backup.filter(text => text.startsWith('closed')).length, 1);
      },
    ),
    { numRuns: 100 },
  );
});
