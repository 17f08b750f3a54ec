/** A TCP stream between two processes in namespaces of their own, for tests that see whether a path keeps its bytes. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { run } from '../../common/run.ts';
import type { RunningProxy, TapLab } from './lab.ts';

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

/** Makes two namespaces with one interface eth0 each, whose addresses end in 1 and in 2, and returns their names. */
export async function addEnds(
  t: ExecutionContext,
  lab: TapLab,
  addInterface: (end: string, index: number) => Promise<void>,
): Promise<[sender: string, receiver: string]> {
  const ends: [string, string] = [`${lab.namespace}g`, `${lab.namespace}o`];
  for (const [index, end] of ends.entries()) {
    t.teardown(() => run('ip', ['netns', 'del', end]).catch(() => undefined));
    await run('ip', ['netns', 'add', end]);
    await addInterface(end, index);
    const commands = [
      `address add 10.99.0.${index + 1}/24 dev eth0`,
      `address add fd00:99::${index + 1}/64 dev eth0 nodad`,
      'link set eth0 up',
    ];
    await run('ip', ['-n', end, '-batch', '-'], { input: `${commands.join('\n')}\n` });
  }
  return ends;
}

export interface Transfer {
  /** What the sender and the receiver say of the bytes, and what they should say. */
  sent: string;
  received: string;
  expected: string;
}

/** Sends a stream from one end to `address` at the other, while the proxy seals and releases without a pause. */
export async function transfer(
  proxy: RunningProxy,
  [from, to]: readonly [string, string],
  address: string,
): Promise<Transfer> {
  const node = (end: string, script: string, ...args: string[]) =>
    execute('ip', ['netns', 'exec', end, process.execPath, '-e', script, ...args], {
      timeout: 60_000,
    });
  const receiver = node(to, RECEIVER);
  await once(receiver.child.stdout!, 'data');
  const sender = node(from, SENDER, address);
  let over = false;
  const both = Promise.all([sender, receiver]).finally(() => {
    over = true;
  });
  while (!over) {
    const { epoch } = await proxy.execute('seal');
    await proxy.execute('release', { epoch: epoch as number });
  }
  const [sent, received] = await both;
  const expected = createHash('sha256');
  for (let at = 0; at < BYTES; at += 65536) expected.update(Buffer.alloc(65536, at / 65536));
  return {
    sent: sent.stdout.trim(),
    received: received.stdout.replace('listening\n', '').trim(),
    expected: expected.digest('hex'),
  };
}
