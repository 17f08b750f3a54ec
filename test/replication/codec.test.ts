import test from 'ava';
import fc from 'fast-check';
import xxhash from 'xxhash-wasm';
import { CurlingError } from '../../common/errors.ts';
import { type Frame, FrameDecoder } from '../../coordinator/replication/decode.ts';
import { encodeFrame, jsonPayload } from '../../coordinator/replication/encode.ts';
import {
  parseBeat,
  parseCommit,
  parseDevice,
  parsePages,
} from '../../coordinator/replication/parse.ts';
import { Rope } from '../../coordinator/replication/rope.ts';
import { HEADER_BYTES, MESSAGE, PAYLOAD_BYTES } from '../../coordinator/replication/types.ts';
import { ADDRESS, bytesOf, FIXTURES, RECEIVER, SENDER } from './fixtures.ts';

function decodeAll(bytes: Buffer, pieceBytes: number): Frame[] {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    decoder.push(bytes.subarray(at, at + pieceBytes));
    for (let frame = decoder.next(); frame; frame = decoder.next()) frames.push(frame);
  }
  return frames;
}

/** What decoding `bytes` and then `rest` ends with: frames, or the code of the error. */
function outcome(bytes: Buffer): Frame[] | string {
  try {
    return decodeAll(bytes, 997);
  } catch (error) {
    if (error instanceof CurlingError) return error.code;
    throw error;
  }
}

const { h64Raw } = await xxhash();

for (const row of FIXTURES) {
  test(`${row.name}: header and payload are the bytes of the drawing`, t => {
    const bytes = bytesOf(row);
    const length = row.hex.length / 2;
    const head =
      `4355524c0001${row.type.toString(16).padStart(2, '0')}58` +
      `${length.toString(16).padStart(8, '0')}00000000` +
      `00000000000000030000000100000005${ADDRESS.vmId}${SENDER}${RECEIVER}`;
    t.is(bytes.toString('hex', 0, 80), head);
    t.is(bytes.toString('hex', HEADER_BYTES), row.hex);
    const covered = Buffer.concat([bytes.subarray(0, 80), bytes.subarray(HEADER_BYTES)]);
    t.is(bytes.readBigUInt64BE(80), h64Raw(covered));
  });

  test(`${row.name}: decodes to what was encoded, in pieces of every size`, t => {
    const one = bytesOf(row);
    const bytes = Buffer.concat([one, one]);
    const largest = Math.min(bytes.length, 400);
    const sizes = Array.from({ length: largest }, (_, index) => index + 1);
    for (const size of [...sizes, 1000, 4096, bytes.length]) {
      const frames = decodeAll(bytes, size);
      if (frames.length !== 2) return t.fail(`pieces of ${size}: ${frames.length} frames`);
      for (const frame of frames) {
        const { header, payload, digest, ...fields } = frame;
        t.deepEqual(fields, { version: 1, type: row.type, ...ADDRESS });
        if (payload.flat().toString('hex') !== row.hex) return t.fail(`pieces of ${size}`);
      }
    }
  });

  test(`${row.name}: truncated at every byte it is no message`, t => {
    const bytes = bytesOf(row);
    const decoder = new FrameDecoder();
    for (let at = 0; at < bytes.length; at++) {
      if (decoder.next()) return t.fail(`a message after ${at} of ${bytes.length} bytes`);
      t.is(decoder.partial, at > 0);
      decoder.push(bytes.subarray(at, at + 1));
    }
    t.truthy(decoder.next());
    t.false(decoder.partial);
  });

  test(`${row.name}: every flipped bit of the header and of the payload's start is found`, t => {
    const bytes = bytesOf(row);
    const covered = Math.min(bytes.length, HEADER_BYTES + 64);
    // What follows is the beginning of a long message, so that a length that grew is filled up.
    const next = Buffer.concat([bytesOf(FIXTURES[5]!), Buffer.alloc(2 << 20)]);
    for (let bit = 0; bit < covered * 8; bit++) {
      const bad = Buffer.from(bytes);
      bad[bit >> 3]! ^= 1 << (bit & 7);
      const result = outcome(Buffer.concat([bad, next]));
      if (row.name === 'refuse' && (bit >> 3 === 4 || bit >> 3 === 5)) {
        // A refusal is read whatever the version is; what follows it is not.
        t.is(typeof result, 'string');
        continue;
      }
      t.regex(String(result), /^CURLING_REPLICATION_(FRAME|DIGEST|VERSION)$/, `bit ${bit}`);
    }
  });
}

test('fields of payloads come back', t => {
  const frame = (index: number) => decodeAll(bytesOf(FIXTURES[index]!), 700)[0]!;
  const pages = parsePages(frame(5));
  t.is(pages.count, 2);
  t.is(pages.dataPages, 1);
  t.is(pages.entries.toString('hex'), '0001010000000007000002ee01020304');
  t.true(pages.data.flat().equals(Buffer.alloc(4096, 0x5a)));
  const { data, ...piece } = parseDevice(frame(6));
  t.deepEqual(piece, { offset: 4, total: 9 });
  t.is(data.flat().toString(), 'dev');
  t.deepEqual(parseCommit(frame(7)), {
    messages: 2,
    pages: 3,
    payloadBytes: 4,
    digest: 0x0123456789abcdefn,
  });
  t.deepEqual(parseBeat(frame(10)), { stampUs: 1, echoUs: 0x100000000, heldUs: 7 });
});

test('a length beyond the bound of its type is an error with the header alone', t => {
  for (const row of FIXTURES) {
    const header = bytesOf(row).subarray(0, HEADER_BYTES);
    for (const claim of [PAYLOAD_BYTES[row.type][1] + 1, 0x7fffffff, 0xffffffff]) {
      const lie = Buffer.from(header);
      lie.writeUInt32BE(claim, 8);
      t.is(outcome(lie), 'CURLING_REPLICATION_FRAME', `${row.name} ${claim}`);
    }
  }
});

test('a length within the bound allocates nothing until the bytes come', t => {
  const header = Buffer.from(bytesOf(FIXTURES[5]!).subarray(0, HEADER_BYTES));
  header.writeUInt32BE(PAYLOAD_BYTES[MESSAGE.pages][1], 8);
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 200 }, () => new FrameDecoder());
  for (const decoder of decoders) {
    decoder.push(header);
    t.is(decoder.next(), undefined);
  }
  t.true(process.memoryUsage().arrayBuffers - before < 16 << 20);
});

test('counts in PAGES and DEVICE that do not fit the bytes are errors', t => {
  const cases: [number, number, number][] = [
    [0, 0, 8],
    [1, 2, 8 + 8 + 8192],
    [0xffffffff, 0, 16],
    [2, 1, 8 + 16 + 4095],
    [2, 1, 8 + 16 + 4097],
  ];
  for (const [count, data, length] of cases) {
    const payload = Buffer.alloc(length);
    payload.writeUInt32BE(count, 0);
    payload.writeUInt32BE(data, 4);
    const bytes = Buffer.concat(encodeFrame(MESSAGE.pages, ADDRESS, [payload]).buffers);
    const error = t.throws(() => parsePages(decodeAll(bytes, 500)[0]!), {
      instanceOf: CurlingError,
    });
    t.is(error?.code, 'CURLING_REPLICATION_FRAME');
  }
  const beyond = Buffer.from('00000005000000080102030405', 'hex');
  const bytes = Buffer.concat(encodeFrame(MESSAGE.device, ADDRESS, [beyond]).buffers);
  t.throws(() => parseDevice(decodeAll(bytes, 500)[0]!), { instanceOf: CurlingError });
});

test('a refusal of another version is read; anything else names both versions', t => {
  const refuse = bytesOf(FIXTURES[2]!);
  const longer = Buffer.concat([
    refuse.subarray(0, HEADER_BYTES),
    Buffer.alloc(40, 0xcc),
    refuse.subarray(HEADER_BYTES),
  ]);
  longer.writeUInt16BE(9, 4);
  longer[7] = HEADER_BYTES + 40;
  const [frame] = decodeAll(longer, 11);
  t.is(frame?.version, 9);
  t.is(frame?.payload.flat().toString(), '{"code":"C","desc":"d"}');
  const hello = bytesOf(FIXTURES[0]!);
  hello.writeUInt16BE(9, 4);
  const error = t.throws(() => decodeAll(hello, 16), { instanceOf: CurlingError });
  t.is(error?.code, 'CURLING_REPLICATION_VERSION');
  t.regex(error?.message ?? '', /version 1 .*version 9/);
});

test('numbers that are not safe integers are refused', t => {
  for (const at of [16, 24]) {
    const bytes = bytesOf(FIXTURES[9]!);
    bytes.writeBigUInt64BE(2n ** 53n, at);
    t.is(outcome(bytes), 'CURLING_REPLICATION_FRAME');
  }
});

test('any run of messages in any pieces comes back the same', t => {
  const rows = fc.array(
    fc.record({ text: fc.string({ maxLength: 3000 }), epoch: fc.maxSafeNat() }),
    {
      maxLength: 12,
    },
  );
  const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(rows, sizes, (messages, pieces) => {
      const bytes = Buffer.concat(
        messages.flatMap(
          ({ text, epoch }) =>
            encodeFrame(MESSAGE.hello, { ...ADDRESS, epoch }, jsonPayload({ text })).buffers,
        ),
      );
      const decoder = new FrameDecoder();
      const got: unknown[] = [];
      for (let at = 0, index = 0; at < bytes.length; index++) {
        const size = pieces[index % pieces.length]!;
        decoder.push(bytes.subarray(at, at + size));
        at += size;
        for (let frame = decoder.next(); frame; frame = decoder.next()) {
          got.push({ ...JSON.parse(frame.payload.flat().toString()), epoch: frame.epoch });
        }
      }
      t.deepEqual(got, messages);
      t.false(decoder.partial);
    }),
    { numRuns: 100 },
  );
});

test('random bytes end in an error or in waiting, never otherwise', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, magic) => {
      const bytes = Buffer.concat([Buffer.from(magic ? '4355524c0001' : '', 'hex'), noise]);
      const result = outcome(bytes);
      t.true(typeof result === 'string' || result.length === 0);
    }),
    { numRuns: 300 },
  );
});

test('a rope holds what was pushed, joined when it is in crumbs', t => {
  const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 251));
  const rope = new Rope();
  for (let at = 0; at < bytes.length; at++) rope.push(bytes.subarray(at, at + 1));
  t.true(rope.flat().equals(bytes));
  t.true(rope.pieces.length < 600);
  const cursor = rope.cursor();
  t.true(cursor.takeFlat(1000).equals(bytes.subarray(0, 1000)));
  t.true(Buffer.concat(cursor.take(3000)).equals(bytes.subarray(1000, 4000)));
  t.true(cursor.rest().flat().equals(bytes.subarray(4000)));
  t.is(cursor.left, 0);
});
