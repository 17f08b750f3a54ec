import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { MESSAGE_BYTES, Probe } from '../../bench/peers/probe.ts';

async function serve(t: ExecutionContext, answer: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => {});
    answer(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('every message has a sample, whatever the answer holds and however it is cut', async t => {
  const port = await serve(t, socket => {
    socket.on('data', chunk => {
      for (let at = 0; at < chunk.length; at += 7)
        socket.write(Buffer.alloc(Math.min(7, chunk.length - at), 0xff));
    });
  });
  const answer = await new Probe('127.0.0.1').trips(port, 100, 200);
  const samples = answer.samplesMs as number[];
  t.true(samples.length >= 10, `${samples.length} samples`);
  t.true(samples.every(ms => ms >= 0));
  t.is(answer.unanswered, 0);
});

test('messages without an answer count as unanswered, with the time that they waited', async t => {
  const port = await serve(t, socket => {
    let got = 0;
    socket.on('data', chunk => {
      const some = Math.max(0, Math.min(3 * MESSAGE_BYTES - got, chunk.length));
      got += chunk.length;
      if (some > 0) socket.write(chunk.subarray(0, some));
      if (got >= 8 * MESSAGE_BYTES) socket.end();
    });
  });
  const answer = await new Probe('127.0.0.1').trips(port, 100, 500);
  const samples = answer.samplesMs as number[];
  t.is(answer.lost, 'closed by the other side');
  t.is(answer.unanswered, samples.length - 3);
  t.true(samples.length >= 8);
});

test('a watched connection tells its longest silence, also one that goes on', async t => {
  const port = await serve(t, socket => {
    let left = 5;
    socket.on('data', chunk => {
      if (left-- > 0) socket.write(chunk);
    });
  });
  const probe = new Probe('127.0.0.1');
  t.deepEqual(probe.watched(), { error: 'nothing is watched' });
  await probe.watch(port, 100);
  const deadline = performance.now() + 10_000;
  while (Number(probe.progress().answered) < 3 && performance.now() < deadline)
    await new Promise(resolve => setTimeout(resolve, 5));
  const seen = probe.watched();
  t.true(Number(seen.answered) >= 3);
  t.true(Number(seen.longestMs) > 0);
  t.is(seen.lost, null);
});

test('throughput counts what came after the ramp', async t => {
  const port = await serve(t, socket => {
    socket.once('data', line => {
      t.regex(line.toString(), /^1000000000000 1\n$/);
      const more = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536))) {}
      };
      socket.on('drain', more);
      more();
    });
  });
  const { bytes, durationMs } = await new Probe('127.0.0.1').bulk(port, 50, 100);
  t.true(Number(bytes) > 0);
  t.true(Number(durationMs) >= 99);
});

test('unknown commands and ports are refused', async t => {
  const probe = new Probe('127.0.0.1');
  t.truthy(((await probe.command(['dance'])) as { error?: string }).error);
  await t.throwsAsync(async () => probe.command(['trips', 'x', '1', '1']), {
    code: 'CURLING_USAGE',
  });
});
