import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { promisify } from 'node:util';
import test from 'ava';
import { run } from '../../common/run.ts';
import { TapLab } from './lab.ts';

const execute = promisify(execFile);
const BYTES = 12 << 20;

/** Sends BYTES bytes to the host given, then says their digest. */
const SENDER = `
const hash = require('crypto').createHash('sha256');
const socket = require('net').connect(6000, process.argv[1], () => {
  for (let at = 0; at < ${BYTES}; at += 65536) {
    const piece = Buffer.alloc(65536, at / 65536);
    hash.update(piece);
    socket.write(piece);
  }
  socket.end();
});
socket.resume();
socket.on('close', () => console.log(hash.digest('hex')));
`;

/** Says that it listens, accepts one connection and says the digest of what came. */
const RECEIVER = `
require('net').createServer({ allowHalfOpen: true }, socket => {
  const hash = require('crypto').createHash('sha256');
  socket.on('data', data => hash.update(data));
  socket.on('end', () => { socket.end(); console.log(hash.digest('hex')); process.exit(); });
}).listen(6000, () => console.log('listening'));
`;

test('needs root: a TCP stream with segmentation offload passes the hold whole, on a veth', async t => {
  const lab = await TapLab.create(t);
  const ends = ['g', 'o'].map(letter => `${lab.namespace}${letter}`);
  for (const [index, end] of ends.entries()) {
    t.teardown(() => run('ip', ['netns', 'del', end]).catch(() => undefined));
    await run('ip', ['netns', 'add', end]);
    const port = `port${index}`;
    await lab.ip([
      `link add ${port} type veth peer name eth0 netns ${end}`,
      `link set ${port} addrgenmode none master br0 up`,
    ]);
    await run('ip', ['-n', end, 'address', 'add', `10.99.0.${index + 1}/24`, 'dev', 'eth0']);
    await run('ip', ['-n', end, 'link', 'set', 'eth0', 'up']);
  }
  const proxy = lab.spawnProxy('--tap', 'port0', '--buffer-mib', '64');
  await proxy.connect();
  const node = (end: string, script: string, ...args: string[]) =>
    execute('ip', ['netns', 'exec', end, process.execPath, '-e', script, ...args], {
      timeout: 60_000,
    });
  const receiver = node(ends[1]!, RECEIVER);
  await once(receiver.child.stdout!, 'data');
  const sender = node(ends[0]!, SENDER, '10.99.0.2');
  let over = false;
  const both = Promise.all([sender, receiver]).finally(() => {
    over = true;
  });
  while (!over) {
    const { epoch } = await proxy.execute('seal');
    await proxy.execute('release', { epoch });
  }
  const [sent, received] = await both;
  const expected = createHash('sha256');
  for (let at = 0; at < BYTES; at += 65536) expected.update(Buffer.alloc(65536, at / 65536));
  t.is(sent.stdout.trim(), expected.digest('hex'));
  t.is(received.stdout, `listening\n${sent.stdout}`);
  const stats = await proxy.execute('query-stats');
  t.true((stats.framesLarge as number) > 0);
  t.is(stats.sendErrors, 0);
  t.is(stats.kernelDrops, 0);
});
