/** Who else may connect to a coordinator: peers of another version, of another machine, and no peers at all. */
import net from 'node:net';
import test from 'ava';
import { LineSplitter } from '../../common/qmp/lines.ts';
import { encodeFrame, jsonPayload, vmIdOf } from '../../coordinator/replication/encode.ts';
import {
  type FrameAddress,
  HEADER_BYTES,
  MESSAGE,
  NO_INCARNATION,
  PROTOCOL_VERSION,
} from '../../coordinator/replication/types.ts';
import { Bench, until, VM } from './bench.ts';
import { FAKE_RAM_BYTES } from './fake-guest.ts';

/** Connects, says something, and collects what comes until the other side closes. */
async function say(address: net.NetConnectOpts, ...pieces: Buffer[]): Promise<Buffer> {
  const socket = net.connect(address);
  const came: Buffer[] = [];
  socket.on('data', chunk => came.push(chunk));
  socket.on('error', () => {}); // a reset is an answer too
  for (const piece of pieces) socket.write(piece);
  await new Promise(resolve => socket.once('close', resolve));
  return Buffer.concat(came);
}

/** What a REFUSE says. */
function refusal(answer: Buffer): { code: string; desc: string } {
  if (answer[6] !== MESSAGE.refuse)
    throw new Error(`expected REFUSE, got ${answer.toString('hex')}`);
  return JSON.parse(answer.subarray(HEADER_BYTES).toString('utf8'));
}

const ADDRESS: FrameAddress = {
  generation: 1,
  epoch: 0,
  vmId: vmIdOf(VM),
  sender: 'a1'.repeat(16),
  receiver: NO_INCARNATION,
};
const HELLO = {
  vm: VM,
  host: 'z',
  protocol: PROTOCOL_VERSION,
  guest: {},
  mainBytes: FAKE_RAM_BYTES,
};

function hello(changes: object = {}, address: Partial<FrameAddress> = {}): Buffer {
  const payload = jsonPayload({ ...HELLO, ...changes });
  return Buffer.concat(encodeFrame(MESSAGE.hello, { ...ADDRESS, ...address }, payload).buffers);
}

test('a primary of another version or another machine is told why it is refused', async t => {
  const bench = await Bench.create(t);
  const program = await bench.serving('backup');
  const to = { host: '127.0.0.1', port: bench.port };
  const newer = hello();
  newer.writeUInt16BE(PROTOCOL_VERSION + 1, 4);
  const cases: [Buffer, string][] = [
    [newer, 'CURLING_REPLICATION_VERSION'],
    [hello({ protocol: 99 }), 'CURLING_REPLICATION_VERSION'],
    [hello({ vm: 'vm2' }, { vmId: vmIdOf('vm2') }), 'CURLING_REPLICATION_IDENTITY'],
    [hello({ vm: 'vm2' }), 'CURLING_REPLICATION_IDENTITY'],
    [hello({}, { sender: NO_INCARNATION }), 'CURLING_REPLICATION_IDENTITY'],
    [hello({ guest: { machine: 'toaster' } }), 'CURLING_QEMU_MISMATCH'],
    [hello({ guest: 'none' }), 'CURLING_QEMU_MISMATCH'],
    [hello({ mainBytes: -4096 }), 'CURLING_REPLICATION_FRAME'],
    [hello({ mainBytes: 2 ** 52 }), 'CURLING_STORE'],
    [hello({ mainBlock: '' }), 'CURLING_REPLICATION_FRAME'],
    [hello({ mainBlock: 7 }), 'CURLING_REPLICATION_FRAME'],
    [hello({ mainBlock: 'ram,share=off' }), 'CURLING_QEMU_START'],
  ];
  for (const [bytes, code] of cases) {
    const { code: said, desc } = refusal(await say(to, bytes));
    t.is(said, code, desc);
    t.true(desc.length > 10);
  }
  t.true(program.alive, program.said);
  t.is((await bench.status()).state, 'JOIN');
  t.false(bench.released);
});

test('what is no replication message ends its connection and nothing else', async t => {
  const bench = await Bench.create(t);
  const program = await bench.serving('backup');
  const to = { host: '127.0.0.1', port: bench.port };
  const huge = hello();
  huge.writeUInt32BE(0xffff_ffff, 8);
  const damaged = hello();
  damaged[HEADER_BYTES + 3]! ^= 1;
  const early = Buffer.concat(encodeFrame(MESSAGE.commit, ADDRESS, [Buffer.alloc(24)]).buffers);
  const noise = [
    Buffer.from('GET / HTTP/1.1\r\nHost: backup\r\n\r\n'),
    Buffer.alloc(1 << 20, 'x'),
    Buffer.alloc(1 << 20),
    huge,
    damaged,
    early,
  ];
  for (const bytes of noise) {
    const answer = await say(to, bytes);
    t.true(answer.length === 0 || refusal(answer).code.startsWith('CURLING_REPLICATION_'));
  }
  t.true(program.alive, program.said);
  t.false(program.said.includes('full copy'));
  t.is((await bench.status()).state, 'JOIN');
  t.false(bench.released);
});

test('connections that say nothing do not keep a primary out', async t => {
  const bench = await Bench.create(t);
  await bench.serving('backup');
  const to = { host: '127.0.0.1', port: bench.port };
  const mute = Array.from({ length: 20 }, () => say(to));
  const half = say(to, hello().subarray(0, 50));
  await Promise.all([...mute, half]);
  t.is(refusal(await say(to, hello({ guest: 'none' }))).code, 'CURLING_QEMU_MISMATCH');
});

test('the control socket bears garbage, huge lines, and clients that say nothing', async t => {
  const bench = await Bench.create(t);
  const program = await bench.serving('backup');
  const to = { path: bench.path('control.sock') };
  const mute = Array.from({ length: 5 }, () => net.connect(to));
  t.teardown(() => mute.forEach(socket => void socket.destroy()));
  await say(to, Buffer.alloc(1 << 20, 'y'));
  // One byte too much, so that nothing unread turns the answer into a reset.
  const long = (await say(to, Buffer.alloc((64 << 10) + 1, 'y'))).toString();
  t.regex(long, /"code":"CURLING_MESSAGE".*\n$/);

  const socket = net.connect(to);
  t.teardown(() => socket.destroy());
  const lines: string[] = [];
  const splitter = new LineSplitter(1 << 20);
  socket.on('data', chunk => lines.push(...splitter.push(chunk)));
  const requests: [string, string][] = [
    ['\u0000\u0001\u0002', 'CURLING_MESSAGE'],
    ['[1, 2]', 'CURLING_MESSAGE'],
    ['{"execute": 7}', 'CURLING_MESSAGE'],
    ['{"execute": "query-status"}', 'CURLING_COMMAND_UNKNOWN'],
    ['{"execute": "qmp_capabilities"}', '"return":{}'],
    ['{"execute": "__proto__"}', 'CURLING_COMMAND_UNKNOWN'],
    ['{"execute": "failover", "arguments": 1}', 'CURLING_MESSAGE'],
    ['{"execute": "failover"}', 'CURLING_STATE'],
    ['{"execute": "failover", "arguments": {"vm": "vm2"}}', 'CURLING_STATE'],
    [`{"execute": "failover", "arguments": {"vm": "${VM}"}}`, 'CURLING_STATE'],
    [`{"execute": "protect", "arguments": {"vm": ["${VM}"]}}`, 'CURLING_STATE'],
  ];
  for (const [request] of requests) socket.write(`${request}\n`);
  await until('all answers', () => lines.length === requests.length + 1);
  t.regex(lines[0]!, /^\{"QMP":/);
  for (const [index, [request, expected]] of requests.entries()) {
    t.true(lines[index + 1]!.includes(expected), `${request}: ${lines[index + 1]}`);
  }
  t.true(program.alive, program.said);
  t.is((await bench.status()).state, 'JOIN');
  t.false(bench.released);
});
