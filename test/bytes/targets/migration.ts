/** QEMU's migration stream and COLO's messages between checkpoints. */
import type { CurlingError } from '../../../common/errors.ts';
import { PAGE_BYTES } from '../../../coordinator/checkpoint/layout.ts';
import { encodeResume } from '../../../coordinator/qemu/resume.ts';
import { type NaiveStream, naivePhases, u32 } from '../../qemu/naive-stream.ts';
import { recording } from '../../qemu/recording.ts';
import { LAYOUT } from '../../replication/world.ts';
import { type Attempt, codeOf, must, piecesOf, type Target } from '../target.ts';

/** Every kind of record, CONTINUE across sections and checkpoints, a false description in the devices. */
export const STREAM: NaiveStream = {
  machine: 'pc-x',
  capabilities: ['x-colo'],
  uuid: true,
  sectionId: 2,
  blocks: [
    { name: 'a.ram', pages: 3 },
    { name: 'vga', pages: 1 },
  ],
  firstPass: [
    [{ block: 0, page: 0, fill: 0, data: false }],
    [{ block: 0, page: 2, fill: 7, data: false }],
    [{ block: 1, page: 0, fill: 9, data: false }],
  ],
  device: Buffer.from('04deadbeef0006000000047b2222007e0000000400', 'hex'),
  description: '{"page_size":4096}',
  checkpoints: [
    { pages: [{ block: 1, page: 0, fill: 1, data: false }], device: Buffer.from('0400') },
    { pages: [], device: Buffer.from([0]) },
  ],
};

/** The stream in its three parts: QEMU waits for an answer after each. */
export const PHASES: readonly Buffer[] = naivePhases(STREAM);

/** With the content of a page, which makes it long. */
const WITH_DATA = naivePhases({
  ...STREAM,
  capabilities: ['x-ignore-shared'],
  firstPass: [[{ block: 1, page: 0, fill: 9, data: true }], []],
});

/** What a standby is fed with is a stream of the same grammar. */
function resumed(): Buffer {
  const blocks = LAYOUT.blocks.map((block, index) =>
    index === LAYOUT.mainBlock ? undefined : Buffer.alloc(block.bytes, index),
  );
  const device = Buffer.from([4, 1, 2, 3, 0]);
  const layout = { ...LAYOUT, subsections: Buffer.alloc(0) };
  return Buffer.concat(encodeResume({ layout, blocks, device }));
}

const LIMITS = { deviceBytesMax: 1 << 20, descriptionBytesMax: 1 << 20 };

const WORDS = [
  ...[
    'constructor',
    '__proto__',
    'toString',
    'configuration/uuid',
    'configuration/capabilities',
  ].map(name => Buffer.concat([Buffer.from([5, name.length]), Buffer.from(name), u32(1)])),
  Buffer.from('0000000000000010', 'hex'),
  Buffer.from('0000000000000200', 'hex'),
  Buffer.from('7e00000002', 'hex'),
  Buffer.from('0800000000', 'hex'),
  Buffer.from('00060000000a7b', 'hex'),
];

export const MIGRATION: Target = {
  name: 'the migration stream',
  seeds: [...PHASES, Buffer.concat(PHASES), Buffer.concat(WITH_DATA), resumed()],
  words: WORDS,
  allocatedMax: bytes => 8 * bytes + (4 << 20),
  run(attempt) {
    const { decoder, trace } = recording(LIMITS);
    let copy = Buffer.alloc(0);
    try {
      for (const piece of waitsOf(attempt)) {
        // The bytes are the decoder's for the time of the call alone.
        copy = Buffer.from(piece);
        decoder.push(copy);
        copy.fill(0xdd);
      }
    } catch (error) {
      const code = codeOf(error);
      must(code === 'CURLING_QEMU_STREAM', `${code} is not of the stream`);
      must(
        again(() => decoder.push(Buffer.alloc(PAGE_BYTES))) === error,
        'a refused stream stays refused',
      );
      return judged(trace, error as CurlingError);
    }
    return judged(trace);
  },
};

function again(work: () => void): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

/**
 * The pieces, but the device state of the first pass in one: its end is where the bytes end, because QEMU waits there.
 * Cut in pieces it is in test/qemu/stream-decoder.test.ts.
 */
function* waitsOf(attempt: Attempt): Generator<Buffer> {
  const { input } = attempt;
  const from = input.indexOf(STREAM.device.subarray(0, 5));
  const to = input.indexOf(STREAM.description, Math.max(0, from)) + STREAM.description.length;
  if (from < 0 || to < from) return yield* piecesOf(attempt);
  yield* piecesOf({ ...attempt, input: input.subarray(0, from) });
  yield input.subarray(from, to);
  yield* piecesOf({ ...attempt, input: input.subarray(to) });
}

/**
 * What was told before the end of the first pass. Where that is depends on the pieces, for it is where the bytes end; so
 * what comes of the bytes behind it is not compared, only fed.
 */
function judged(trace: readonly string[], error?: CurlingError): string {
  const passed = trace.findIndex(line => line.startsWith('firstPass'));
  if (passed >= 0) return [...trace.slice(0, passed), 'waits for more'].join('\n');
  const inTail = error !== undefined && /suppress-vmdesc/.test(error.message);
  return [...trace, error && !inTail ? error.code : 'waits for more'].join('\n');
}
