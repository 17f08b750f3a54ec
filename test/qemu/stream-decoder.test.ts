import test from 'ava';
import fc from 'fast-check';
import { CurlingError } from '../../common/errors.ts';
import { type NaiveStream, naivePhases, naiveTrace, u64 } from './naive-stream.ts';
import { feed, recording } from './recording.ts';

const MIB = 1 << 20;

/** Few bytes, every kind of record, CONTINUE across sections and checkpoints, a false description in the devices. */
const SMALL: NaiveStream = {
  machine: 'pc-x',
  capabilities: [],
  uuid: true,
  sectionId: 2,
  blocks: [
    { name: 'a.ram', pages: 3 },
    { name: 'vga', pages: 1 },
  ],
  firstPass: [
    [{ block: 0, page: 0, fill: 0, data: false }],
    [{ block: 0, page: 2, fill: 7, data: false }],
    [{ block: 1, page: 0, fill: 9, data: true }],
  ],
  device: Buffer.from('04deadbeef0006000000047b2222007e00000004 00'.replaceAll(' ', ''), 'hex'),
  description: '{"page_size":4096}',
  checkpoints: [
    { pages: [{ block: 1, page: 0, fill: 1, data: false }], device: Buffer.from('0400') },
    { pages: [], device: Buffer.from([0]) },
  ],
};
const PHASES = naivePhases(SMALL);
const TRACE = naiveTrace(SMALL);

const bytes = (max: number) =>
  fc.uint8Array({ minLength: 1, maxLength: max }).map(b => Buffer.from(b));

const streams: fc.Arbitrary<NaiveStream> = fc
  .uniqueArray(fc.stringMatching(/^[a-z][a-z./@]{0,20}$/), { minLength: 1, maxLength: 5 })
  .chain(names => {
    const blocks = fc.tuple(
      ...names.map(name => fc.integer({ min: 1, max: 50 }).map(pages => ({ name, pages }))),
    );
    return blocks.chain(list => {
      const page = fc.nat({ max: list.length - 1 }).chain(block =>
        fc.record({
          block: fc.constant(block),
          page: fc.nat({ max: list[block]!.pages - 1 }),
          fill: fc.nat({ max: 255 }),
          data: fc.boolean(),
        }),
      );
      const pages = fc.array(page, { maxLength: 12 });
      return fc.record({
        machine: fc.stringMatching(/^[a-z0-9.-]{1,30}$/),
        capabilities: fc.subarray(['x-ignore-shared', 'x-colo', 'events']),
        uuid: fc.boolean(),
        sectionId: fc.nat(),
        blocks: fc.constant(list),
        firstPass: fc.array(pages, { minLength: 2, maxLength: 5 }),
        device: bytes(300).map(b => Buffer.concat([Buffer.from([4]), b, Buffer.from([0])])),
        description: fc.constantFrom('{}', '{"page_size": 4096, "devices": [{"name": "timer"}]}'),
        checkpoints: fc.array(fc.record({ pages, device: bytes(300) }), { maxLength: 4 }),
      });
    });
  });

test('any stream in pieces of any size is what the naive encoder wrote', t => {
  fc.assert(
    fc.property(streams, fc.integer({ min: 1, max: 9_000 }), (stream, size) => {
      const { decoder, trace } = recording();
      for (const phase of naivePhases(stream)) feed(decoder, phase, size);
      t.deepEqual(trace, naiveTrace(stream));
    }),
    { numRuns: 300 },
  );
});

test('a small stream in pieces of every size', t => {
  for (let size = 1; size <= PHASES[0]!.length; size++) {
    const { decoder, trace } = recording();
    for (const phase of PHASES) feed(decoder, phase, size);
    if (size === 1) t.deepEqual(trace, TRACE);
    else if (trace.join() !== TRACE.join()) t.fail(`pieces of ${size} bytes`);
  }
});

test('a stream cut off at every byte tells the beginning of the truth', t => {
  const whole = Buffer.concat(PHASES);
  const told = new Set<number>();
  for (let cut = 0; cut < whole.length; cut++) {
    const { decoder, trace } = recording();
    let left = cut;
    for (const phase of PHASES) {
      feed(decoder, phase.subarray(0, left), 100);
      left = Math.max(0, left - phase.length);
    }
    told.add(trace.length);
    if (trace.join() !== TRACE.slice(0, trace.length).join()) t.fail(`cut at ${cut}`);
  }
  t.is(told.size, TRACE.length);
});

test('flipped bits end in a coded error or in a legal stream', t => {
  let refused = 0;
  PHASES.forEach((phase, flipped) => {
    for (let bit = 0; bit < phase.length * 8; bit++) {
      const phases = PHASES.map(other => Buffer.from(other));
      phases[flipped]![bit >> 3]! ^= 1 << (bit & 7);
      const { decoder } = recording({ deviceBytesMax: MIB, descriptionBytesMax: MIB });
      try {
        for (const bytes of phases) feed(decoder, bytes, 1000);
      } catch (error) {
        if (!(error instanceof CurlingError && error.code === 'CURLING_QEMU_STREAM')) throw error;
        refused++;
      }
    }
  });
  t.true(refused > 500, `${refused} refused`);
});

test('a lying length reserves next to nothing', t => {
  const stream = { ...SMALL, checkpoints: [{ pages: [], device: Buffer.alloc(10) }] };
  const phases = naivePhases(stream);
  const lie = phases[2]!;
  u64(64 * MIB).copy(lie, lie.length - 18);
  const before = process.memoryUsage().arrayBuffers;
  const many = Array.from({ length: 10 }, () => {
    const { decoder, trace } = recording();
    for (const phase of phases) decoder.push(phase);
    t.is(trace.at(-1), 'stopped');
    return decoder;
  });
  t.true(process.memoryUsage().arrayBuffers - before < many.length * 3 * MIB);
});

const refusals: [string, Partial<NaiveStream> | ((phases: Buffer[]) => void), RegExp][] = [
  ['another file', phases => phases[0]!.write('ELF!'), /"QEVM"/],
  ['another version', phases => phases[0]!.writeUInt8(4, 7), /version \(0x3\), got 0x4/],
  ['no configuration', phases => phases[0]!.writeUInt8(1, 8), /configuration section/],
  ['an unknown subsection', phases => patch(phases, 'uuid', 'gone'), /known configuration subs/],
  ['another section', phases => patch(phases, 'ram\0', 'dirt'), /the section ram/],
  ['an unprintable name', { machine: 'pc\x01' }, /printable/],
  ['too many capabilities', { capabilities: Array(65).fill('events') }, /at most 64 cap/],
  ['a block twice', { blocks: [SMALL.blocks[0]!, SMALL.blocks[0]!] }, /listed twice/],
  ['an empty block', { blocks: [{ name: 'a', pages: 0 }, SMALL.blocks[0]!] }, /: 0 bytes/],
  ['too many blocks', { blocks: named(65) }, /one block too many/],
  ['too much RAM', { blocks: [...SMALL.blocks, { name: 'b', pages: 2 ** 31 }] }, /bytes of RAM/],
  ['XBZRLE', phases => flag(phases, 0x40), /XBZRLE/],
  ['an unknown flag', phases => flag(phases, 0x80), /flags 0x80/],
  ['a page and a fill', phases => flag(phases, 0x0a), /flags 0xa/],
  ['a second list', phases => flag(phases, 0x04), /flags 0x4/],
  ['CONTINUE at first', phases => flag(phases, 0x28), /CONTINUE before any page/],
  [
    'an unknown block',
    phases => patch(phases, '\x02\x05a.ram', '\x02\x05x.ram'),
    /a block of the list/,
  ],
  [
    'a page beyond',
    { firstPass: [[{ block: 1, page: 1, fill: 0, data: true }], []] },
    /a page of vga/,
  ],
  ['an answer before a request', phases => phases[1]!.writeUInt8(3, 3), /REQUEST/],
  ['a checkpoint unasked', phases => phases[2]!.writeUInt8(4, 3), /SEND/],
  [
    'device state too large',
    phases => u64(65 * MIB).copy(phases[2]!, phases[2]!.length - 12),
    /device state of 1/,
  ],
  ['no device state', phases => u64(0).copy(phases[2]!, phases[2]!.length - 12), /got 0 bytes/],
];

function named(count: number): NaiveStream['blocks'] {
  return Array.from({ length: count }, (_, n) => ({ name: `b${n}`, pages: 1 }));
}

function patch(phases: Buffer[], from: string, to: string): void {
  phases[0]!.write(to, phases[0]!.indexOf(from, 0, 'latin1'), 'latin1');
}

/** Sets the flags of the first record, which follows the block list. */
function flag(phases: Buffer[], flags: number): void {
  phases[0]!.writeUInt8(flags, phases[0]!.indexOf('\x02\x05a.ram', 0, 'latin1'));
}

for (const [what, change, message] of refusals) {
  test(`refused: ${what}`, t => {
    const phases = naivePhases(typeof change === 'function' ? SMALL : { ...SMALL, ...change });
    if (typeof change === 'function') change(phases);
    const { decoder } = recording();
    const decode = () => {
      for (const phase of phases) decoder.push(phase);
    };
    const error = t.throws(decode, {
      instanceOf: CurlingError,
      code: 'CURLING_QEMU_STREAM',
      message,
    });
    t.is(
      t.throws(() => decoder.push(Buffer.from([0]))),
      error,
      'it stays refused',
    );
  });
}

test('device state of any size arrives whole', t => {
  const device = Buffer.from(Array.from({ length: 3 * MIB }, (_, n) => n % 251));
  device[device.length - 1] = 0;
  const stream = { ...SMALL, device, checkpoints: [{ pages: [], device }] };
  const { decoder, trace } = recording();
  for (const phase of naivePhases(stream)) feed(decoder, phase, 65_536);
  const whole = device.toString('hex');
  t.true(trace.includes(`firstPass ${whole}`));
  t.true(trace.at(-1) === `checkpoint ${whole}`);
});

test('a description is believed only at the length that it says', t => {
  const { decoder, trace } = recording();
  const first = PHASES[0]!;
  const promise = Buffer.from('00060000000a7b7d', 'hex');
  decoder.push(Buffer.concat([first.subarray(0, first.indexOf(SMALL.device)), promise]));
  t.false(trace.some(line => line.startsWith('firstPass')));
  decoder.push(Buffer.alloc(8, ' '));
  t.is(trace.at(-1), 'firstPass 00');
});

test('a first pass that never ends is refused at its bound', t => {
  const { decoder } = recording({ deviceBytesMax: 1000, descriptionBytesMax: 1000 });
  const first = PHASES[0]!;
  decoder.push(first.subarray(0, first.length - 3));
  const endless = () => feed(decoder, Buffer.alloc(4000, 'x'), 500);
  t.throws(endless, { code: 'CURLING_QEMU_STREAM', message: /suppress-vmdesc/ });
});

test('places that look like a description are bounded', t => {
  const { decoder } = recording();
  const first = PHASES[0]!;
  decoder.push(first.subarray(0, first.length - 3));
  const decoys = Buffer.from('000600ffff007b'.repeat(300), 'hex');
  t.throws(() => decoder.push(decoys), { code: 'CURLING_QEMU_STREAM', message: /look like one/ });
});

test('the main block is the largest, or the named one', t => {
  const named = recording({ mainBlockName: 'vga' });
  named.decoder.push(PHASES[0]!);
  t.regex(named.trace[0]!, / 1$/);
  t.regex(TRACE[0]!, / 0$/);
  const { decoder } = recording({ mainBlockName: 'nothing' });
  t.throws(() => decoder.push(PHASES[0]!), { message: /a RAM block nothing/ });
});
