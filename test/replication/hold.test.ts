/** Commits that are put off: nothing touches the shadow meanwhile, nothing is lost, and nobody is taken for dead. */
import test, { type ExecutionContext } from 'ava';
import { encodeFrame } from '../../coordinator/replication/encode.ts';
import type { ReceiverSession } from '../../coordinator/replication/receiver.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { ADDRESS } from './fixtures.ts';
import { World } from './world.ts';

/** A pair at epoch 5 whose backup puts commits off; `over` collects why that ended by itself. */
async function held(
  bytesMax?: number,
): Promise<{ world: World; receiver: ReceiverSession; over: string[] }> {
  const world = new World({ sender: { checkpointsMax: 100, inFlightBytesMax: 2 ** 40 } });
  await world.pair();
  const over: string[] = [];
  world.receiver.hold(why => over.push(why), bytesMax);
  world.sink.log.length = 0;
  return { world, receiver: world.receiver, over };
}

test('a checkpoint is taken up to its commit; that and the next ones wait, and come in order', async t => {
  const { world, receiver, over } = await held();
  for (const epoch of [6, 7, 8]) world.checkpoint(epoch);
  await world.settle();
  t.deepEqual(world.sink.log, ['begin 6', 'pages', 'device']);
  t.is(world.sink.committed, 5);
  t.is(world.primary.at(-1), 'sent');
  t.is(receiver.goOn(40), 40, 'the first commit came at 0');
  await world.settle();
  const whole = (n: number) => [`commit ${n}`, `ack ${n}`, 'apply'];
  t.deepEqual(world.sink.log.slice(3), [
    ...whole(6),
    ...['begin 7', 'pages', 'device', ...whole(7)],
    ...['begin 8', 'pages', 'device', ...whole(8)],
  ]);
  t.is(world.primary.at(-1), 'ack 8');
  t.is(receiver.goOn(50), 0);
  t.deepEqual(over, []);
  world.checkpoint(9);
  await world.settle();
  t.is(world.primary.at(-1), 'ack 9');
});

test('beats go on, and a checkpoint that is given up ends nothing', async t => {
  const { world, receiver } = await held();
  world.session.beginCheckpoint(6);
  world.fill();
  world.session.abort();
  world.checkpoint(6);
  world.session.channel.beat(7);
  await world.settle();
  t.is(world.sink.committed, 5);
  receiver.channel.beat(9);
  await world.settle();
  t.not(world.session.channel.roundTripMs, undefined);
  receiver.goOn(1);
  t.is(world.sink.committed, 6);
});

async function lost(t: ExecutionContext, end: (world: World) => void): Promise<World> {
  const { world, receiver } = await held();
  world.checkpoint(6);
  await world.settle();
  end(world);
  await world.settle();
  t.is(world.sink.committed, 5, 'what was never acknowledged may be lost');
  t.is(receiver.goOn(1), 0);
  return world;
}

test('a take-over, or the end of the connection, drops what waits', async t => {
  const frozen = await lost(t, world => world.receiver.freeze());
  t.is(frozen.receiver.dropped, 1);
  await lost(t, world => world.receiver.channel.lost());
  await lost(t, world => world.session.bye('the end'));
});

test('a primary that has lost its guest ends the wait: all that it sent counts first', async t => {
  const { world, over } = await held();
  world.checkpoint(6);
  world.checkpoint(7);
  world.session.guestLost('it crashed');
  await world.settle();
  t.deepEqual(over, ['the primary has lost its guest']);
  t.is(world.sink.committed, 7);
  t.is(world.backup.at(-1), 'lost it crashed');
});

test('what waits is bounded: the wait ends when it is too much', async t => {
  const { world, over } = await held(20_000);
  // Of the first one the commit alone waits, of each other one two pages and more.
  for (const epoch of [6, 7, 8]) world.checkpoint(epoch);
  await world.settle();
  t.is(world.sink.committed, 5);
  for (const epoch of [9, 10]) world.checkpoint(epoch);
  await world.settle();
  t.deepEqual(over, ['more than 20000 bytes wait for it']);
  t.is(world.sink.committed, 10);
});

test('what waits and is wrong ends the connection as it would have', async t => {
  const { world, receiver } = await held();
  world.checkpoint(6);
  await world.settle();
  const address = { ...ADDRESS, generation: 2, epoch: 9 };
  const { buffers } = encodeFrame(MESSAGE.checkpointBegin, address);
  receiver.channel.receive(Buffer.concat(buffers), 0);
  t.is(receiver.state, 'admitted');
  receiver.goOn(1);
  await world.settle();
  t.is(world.sink.committed, 6);
  t.is(world.backup.at(-1), 'closed CURLING_REPLICATION_FRAME');
  t.is(world.primary.at(-2), 'refused CURLING_REPLICATION_FRAME');
});
