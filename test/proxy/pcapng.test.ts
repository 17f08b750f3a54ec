import test from 'ava';
import fc from 'fast-check';
import * as pcapng from '../../proxy/pcapng.ts';
import { readPcapng } from './pcapng-reader.ts';

const SNAP_BYTES = 300;
const HEAD = Buffer.concat([
  pcapng.sectionHeader('curling-proxy 1', 'a comment'),
  pcapng.interfaceDescription('tap0', 'released to br0', SNAP_BYTES),
  pcapng.interfaceDescription('tüp1', '', SNAP_BYTES),
]);

const frames = fc.array(
  fc.record({
    interfaceId: fc.integer({ min: 0, max: 1 }),
    seconds: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
    bytes: fc.uint8Array({ minLength: 0, maxLength: 2 * SNAP_BYTES }),
    flags: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    missing: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 53 - 1 })),
    comment: fc.string({ maxLength: 40 }),
  }),
  { maxLength: 20 },
);

interface Frame extends Omit<pcapng.Packet, 'capturedBytes' | 'frameBytes' | 'comment'> {
  bytes: Uint8Array;
  comment: string;
}

/** The block of a frame, in memory that holds something else. */
function blockOf({ bytes, comment, ...facts }: Frame) {
  const capturedBytes = Math.min(bytes.length, SNAP_BYTES);
  const packet = {
    ...facts,
    capturedBytes,
    frameBytes: bytes.length,
    comment: pcapng.commentWords(comment),
  };
  const at = 64;
  const length = pcapng.packetBlockBytes(packet);
  const memory = new Uint8Array(at + length + 64).fill(0xee);
  memory.set(bytes.subarray(0, capturedBytes), at + pcapng.PACKET_BYTES_AT);
  pcapng.putPacket(new Uint32Array(memory.buffer, 0, memory.length >>> 2), memory, at, packet);
  const outside = [...memory.subarray(0, at), ...memory.subarray(at + length)];
  return { block: Buffer.from(memory.subarray(at, at + length)), outside };
}

test('what is written is read as it was: interfaces, times, bytes, flags, comments, what is missing', t => {
  fc.assert(
    fc.property(frames, list => {
      const blocks = list.map(blockOf);
      for (const { outside } of blocks) t.true(outside.every(byte => byte === 0xee));
      const read = readPcapng(Buffer.concat([HEAD, ...blocks.map(({ block }) => block)]));
      t.is(read.application, 'curling-proxy 1');
      t.deepEqual(read.interfaces, [
        { name: 'tap0', about: 'released to br0', snapBytes: SNAP_BYTES },
        { name: 'tüp1', about: '', snapBytes: SNAP_BYTES },
      ]);
      const expected = list.map(({ interfaceId, seconds, nanoseconds, bytes, ...rest }) => ({
        ...rest,
        interface: interfaceId,
        atNs: BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds),
        bytes: Buffer.from(bytes.subarray(0, SNAP_BYTES)),
        frameBytes: bytes.length,
      }));
      t.deepEqual(read.packets, expected);
      t.is(read.tailBytes, 0);
    }),
    { numRuns: 300 },
  );
});

test('wherever a file is cut, all blocks before are read, and their ends are where they are said to be', t => {
  fc.assert(
    fc.property(frames, fc.nat(), (list, seed) => {
      const blocks = list.map(frame => blockOf(frame).block);
      const packets = Buffer.concat(blocks);
      const cut = seed % (packets.length + 1);
      const counted = [0, 0];
      const end = pcapng.wholeBlocks(packets, cut, counted);
      const { packets: whole } = readPcapng(Buffer.concat([HEAD, packets.subarray(0, cut)]));
      t.deepEqual(
        counted,
        [0, 1].map(id => whole.filter(one => one.interface === id).length),
      );
      t.is(end, Buffer.concat(blocks.slice(0, whole.length)).length);
      t.true(whole.length === blocks.length || cut < end + blocks[whole.length]!.length);
    }),
    { numRuns: 300 },
  );
});

test('statistics say what passed, what is in the file and what is missing', t => {
  const counts = { interfaceId: 1, frames: 2 ** 40 + 7, recorded: 2 ** 40 };
  const block = pcapng.interfaceStatistics(counts, 1_795_459_811, 120_000_000);
  t.deepEqual(readPcapng(Buffer.concat([HEAD, block])).statistics, [
    { interface: 1, frames: 2 ** 40 + 7, missing: 7, delivered: 2 ** 40 },
  ]);
});
