import test from 'ava';
import fc from 'fast-check';
import { CurlingError } from '../../common/errors.ts';
import { PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { ident, u8, u32, u64 } from '../qemu/naive-stream.ts';
import { feed } from '../qemu/recording.ts';
import {
  curlingRecording,
  type NaiveCurling,
  naiveCheckpoints,
  naiveCurlingTrace,
  naiveHead,
  SIGNATURE,
} from './naive-curling.ts';

const GUEST = {
  sectionId: 3,
  blocks: [
    { name: 'pc.ram', pages: 3 },
    { name: 'vga', pages: 1 },
  ],
};
/** All that a checkpoint ends with and the next one begins with, as a guest may have it in its memory. */
const END = Buffer.concat([u8(0), SIGNATURE, naiveHead(GUEST)]);

function page(bytes: Buffer, at: number): Buffer {
  const content = Buffer.alloc(PAGE_BYTES, 0x5a);
  bytes.copy(content, at);
  return content;
}

/** Signatures at both ends of pages, and in the devices: whole, cut short, and with a head that is not quite the same. */
const HOSTILE: NaiveCurling = {
  ...GUEST,
  checkpoints: [
    {
      sections: [
        [{ block: 0, page: 0, content: page(END, 0) }],
        [{ block: 0, page: 2, content: page(END, PAGE_BYTES - END.length) }],
        [{ block: 1, page: 0, content: 9 }],
      ],
      device: Buffer.concat([u8(4), u32(7), ident('serial'), SIGNATURE, u8(0), SIGNATURE]),
    },
    {
      sections: [[], [{ block: 1, page: 0, content: page(END, 4 * 8) }]],
      device: Buffer.concat([u8(4), END.subarray(0, -1), u8(0xff), END.subarray(0, 17)]),
    },
    { sections: [[], []], device: Buffer.alloc(0) },
    { sections: [[{ block: 0, page: 1, content: 0 }], []], device: END.subarray(0, 9) },
    { sections: [[], []], device: Buffer.from([4]) },
  ],
};
const BYTES = Buffer.concat(naiveCheckpoints(HOSTILE));
const TRACE = naiveCurlingTrace(HOSTILE);

const hostileBytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 30 }).map(b => Buffer.from(b)),
      fc.constantFrom(SIGNATURE, Buffer.from('QEFT'), u8(0), END.subarray(0, -1)),
    ),
    { maxLength: 8 },
  )
  .map(parts => Buffer.concat(parts));

const streams: fc.Arbitrary<NaiveCurling> = fc
  .uniqueArray(fc.stringMatching(/^[a-z][a-z./@]{0,20}$/), { minLength: 1, maxLength: 4 })
  .chain(names =>
    fc
      .tuple(...names.map(name => fc.record({ name: fc.constant(name), pages: fc.nat(40) })))
      .map(list => list.map(({ name, pages }) => ({ name, pages: pages + 1 }))),
  )
  .chain(blocks => {
    const content = fc.oneof(
      fc.nat(255),
      fc.tuple(hostileBytes, fc.nat(3000)).map(([bytes, at]) => page(bytes, at)),
    );
    const pages = fc.nat(blocks.length - 1).chain(block =>
      fc.record({
        block: fc.constant(block),
        page: fc.nat(blocks[block]!.pages - 1),
        content,
      }),
    );
    // Few pages for each checkpoint: more than 1.5 times the RAM are refused.
    const ramPages = blocks.reduce((sum, block) => sum + block.pages, 0);
    const section = fc.array(pages, { maxLength: Math.max(1, Math.floor(ramPages / 3)) });
    const checkpoint = fc.record({
      sections: fc.array(section, { minLength: 2, maxLength: 3 }),
      device: hostileBytes,
    });
    return fc.record({
      sectionId: fc.nat(),
      blocks: fc.constant(blocks),
      checkpoints: fc.array(checkpoint, { minLength: 1, maxLength: 4 }),
    });
  })
  .filter(({ blocks, checkpoints }) => {
    const ramPages = blocks.reduce((sum, block) => sum + block.pages, 0);
    return checkpoints.every(({ sections }) => sections.flat().length <= ramPages);
  });

test('any stream in pieces of any size is what the naive encoder wrote', t => {
  fc.assert(
    fc.property(streams, fc.integer({ min: 1, max: 9_000 }), (stream, size) => {
      const { decoder, trace } = curlingRecording();
      feed(decoder, Buffer.concat(naiveCheckpoints(stream)), size);
      t.deepEqual(trace, naiveCurlingTrace(stream));
    }),
    { numRuns: 200 },
  );
});

test('signatures in pages and devices do not matter, in pieces of every size', t => {
  for (let size = 1; size < 2_000; size += size < 300 ? 1 : 97) {
    const { decoder, trace } = curlingRecording();
    feed(decoder, BYTES, size);
    if (size === 1) t.deepEqual(trace, TRACE);
    else if (trace.join() !== TRACE.join()) t.fail(`pieces of ${size} bytes`);
  }
});

test('a stream cut off at every byte has told of whole checkpoints alone', t => {
  const heads = naiveHead(GUEST).length;
  /** Where the successor of each checkpoint has begun. */
  const wholeAt: number[] = [];
  let at = 0;
  for (const bytes of naiveCheckpoints(HOSTILE)) {
    at += bytes.length;
    wholeAt.push(at + heads);
  }
  const { decoder, trace } = curlingRecording();
  for (let cut = 1; cut <= BYTES.length; cut++) {
    decoder.push(BYTES.subarray(cut - 1, cut));
    const whole = trace.filter(line => line.startsWith('checkpoint')).length;
    if (whole !== wholeAt.filter(end => end <= cut).length) return t.fail(`cut at ${cut}`);
  }
  t.deepEqual(trace, TRACE);
});

test('it is in the RAM of a checkpoint until that has ended', t => {
  const { decoder } = curlingRecording();
  const [first, second] = naiveCheckpoints(HOSTILE) as [Buffer, Buffer];
  const tail = HOSTILE.checkpoints[0]!.device.length + 1 + SIGNATURE.length;
  t.false(decoder.inRam);
  decoder.push(first.subarray(0, -tail - 1));
  t.true(decoder.inRam);
  decoder.push(first.subarray(-tail - 1));
  t.false(decoder.inRam);
  decoder.push(second.subarray(0, naiveHead(GUEST).length - 1));
  t.false(decoder.inRam, 'not before the head is whole');
  decoder.push(second.subarray(naiveHead(GUEST).length - 1, naiveHead(GUEST).length));
  t.true(decoder.inRam);
});

test('flipped bits end in a coded error or in a legal stream', t => {
  const small = naiveCheckpoints({
    ...GUEST,
    checkpoints: [
      { sections: [[{ block: 0, page: 1, content: 7 }], []], device: Buffer.from([4, 0]) },
      { sections: [[], []], device: Buffer.from([4]) },
    ],
  });
  const bytes = Buffer.concat([...small, naiveHead(GUEST)]);
  let refused = 0;
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const { decoder } = curlingRecording();
    try {
      feed(decoder, flipped, 1000);
    } catch (error) {
      if (!(error instanceof CurlingError && error.code === 'CURLING_QEMU_STREAM')) throw error;
      refused++;
    }
  }
  t.true(refused > 500, `${refused} refused`);
});

const refusals: [string, Partial<NaiveCurling> | ((bytes: Buffer) => void), RegExp][] = [
  ['an ordinary migration', bytes => bytes.write('QEVM'), /"QEFT"/],
  ['another version', bytes => bytes.writeUInt8(4, 7), /version \(0x3\), got 0x4/],
  ['a configuration section', bytes => bytes.writeUInt8(7, 8), /section START/],
  ['another section', bytes => bytes.write('blk', bytes.indexOf('ram')), /the section ram/],
  ['an empty block', { blocks: [{ name: 'a', pages: 0 }, ...GUEST.blocks] }, /: 0 bytes/],
  [
    'a page beyond',
    { checkpoints: [{ sections: [[{ block: 1, page: 1, content: 0 }]], device: u8(4) }] },
    /a page of vga/,
  ],
  ['a footer', bytes => bytes.writeUInt8(0x7e, bytes.indexOf(u64(0x10)) + 8), /PART or END/],
];

for (const [what, change, message] of refusals) {
  test(`refused: ${what}`, t => {
    const changed = typeof change === 'function' ? HOSTILE : { ...HOSTILE, ...change };
    const bytes = Buffer.concat(naiveCheckpoints(changed));
    if (typeof change === 'function') change(bytes);
    const { decoder } = curlingRecording();
    const error = t.throws(() => decoder.push(bytes), { code: 'CURLING_QEMU_STREAM', message });
    t.is(
      t.throws(() => decoder.push(u8(0))),
      error,
      'it stays refused',
    );
  });
}

test('a device state without an end is refused at its bound', t => {
  const { decoder } = curlingRecording({ deviceBytesMax: 5_000 });
  const [first] = naiveCheckpoints(HOSTILE);
  decoder.push(first!.subarray(0, first!.length - SIGNATURE.length));
  const endless = () => feed(decoder, Buffer.alloc(6_000, 0x11), 500);
  t.throws(endless, { code: 'CURLING_QEMU_STREAM', message: /at most 5000 bytes/ });
});

test('a checkpoint of more than 1.5 times the RAM is refused, but for the first', t => {
  const sections = [
    [],
    Array.from({ length: 7 }, () => ({ block: 1, page: 0, content: page(END, 0) })),
  ];
  const device = u8(4);
  const checkpoints = [
    { sections, device },
    { sections, device },
  ];
  const [first, second] = naiveCheckpoints({ ...GUEST, checkpoints });
  const { decoder, trace } = curlingRecording();
  decoder.push(first!);
  decoder.push(second!.subarray(0, 6 * PAGE_BYTES));
  t.is(trace.filter(line => line.startsWith('checkpoint')).length, 1);
  const rest = () => decoder.push(second!.subarray(6 * PAGE_BYTES));
  t.throws(rest, { code: 'CURLING_QEMU_STREAM', message: /1\.5 times the guest's RAM/ });
});
