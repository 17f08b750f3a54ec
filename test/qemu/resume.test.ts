import test from 'ava';
import fc from 'fast-check';
import { type GuestLayout, PAGE_BYTES } from '../../coordinator/checkpoint/layout.ts';
import { layoutFromJson, layoutToJson } from '../../coordinator/checkpoint/layout-json.ts';
import { encodeResume } from '../../coordinator/qemu/resume.ts';
import { dataLine, fillLine, ident, UUID_SUBSECTION, u8, u32, u64 } from './naive-stream.ts';
import { feed, recording } from './recording.ts';

const state = fc
  .record({
    machine: fc.stringMatching(/^[a-z0-9.-]{1,40}$/),
    uuid: fc.boolean(),
    sectionId: fc.nat(),
    // Each small block is a list of pages, a page one byte; the main block comes first.
    small: fc.array(fc.array(fc.constantFrom(0, 1, 255), { minLength: 1, maxLength: 6 }), {
      maxLength: 4,
    }),
    device: fc.uint8Array({ maxLength: 200 }).map(b => Buffer.from([4, ...b, 0])),
    size: fc.integer({ min: 1, max: 5_000 }),
  })
  .map(({ machine, uuid, sectionId, small, device, size }) => {
    const contents = small.map(pages =>
      Buffer.concat(pages.map(byte => Buffer.alloc(PAGE_BYTES, byte))),
    );
    const layout: GuestLayout = {
      machine,
      subsections: uuid ? UUID_SUBSECTION : Buffer.alloc(0),
      ram: { sectionId, instanceId: 0, version: 4 },
      blocks: [
        { name: 'pc.ram', bytes: 64 << 20 },
        ...contents.map((bytes, n) => ({ name: `0000:00:0${n}.0/rom`, bytes: bytes.length })),
      ],
      mainBlock: 0,
    };
    return { layout, blocks: [undefined, ...contents], device, size };
  });

test('the decoder reads back what a standby is fed', t => {
  fc.assert(
    fc.property(state, ({ layout, blocks, device, size }) => {
      const { decoder, trace } = recording();
      feed(decoder, Buffer.concat(encodeResume({ layout, blocks, device })), size);
      const list = layout.blocks.map(block => `${block.name}:${block.bytes}`);
      const uuid = layout.subsections.toString('hex');
      t.is(trace[0], `layout ${layout.machine} ${layout.ram.sectionId} ${uuid} ${list} 0`);
      t.is(trace.at(-1), `firstPass ${device.toString('hex')}`);
      const expected = blocks.flatMap((content, block) =>
        Array.from({ length: (content?.length ?? 0) / PAGE_BYTES }, (_, page) => {
          const bytes = content!.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
          return bytes[0] === 0 ? fillLine(block, page, 0) : dataLine(block, page, bytes);
        }),
      );
      t.deepEqual(trace.slice(1, -1), expected);
    }),
  );
});

test('the configuration says that shared RAM is not in the stream', t => {
  const layout = {
    machine: 'pc',
    subsections: Buffer.alloc(0),
    ram: { sectionId: 2, instanceId: 0, version: 4 },
    blocks: [{ name: 'pc.ram', bytes: PAGE_BYTES }],
    mainBlock: 0,
  };
  const [head] = encodeResume({ layout, blocks: [], device: Buffer.from([0]) });
  const capabilities = [u8(5), ident('configuration/capabilities'), u32(1), u32(1)];
  const expected = Buffer.concat([...capabilities, ident('x-ignore-shared')]);
  t.true(head!.includes(expected));
});

test('the old form has no configuration, no footer and no description', t => {
  const layout = layoutFromJson(
    layoutToJson({
      machine: '',
      subsections: Buffer.alloc(0),
      oldForm: true,
      ram: { sectionId: 2, instanceId: 0, version: 4 },
      blocks: [
        { name: 'pc.ram', bytes: 2 * PAGE_BYTES },
        { name: 'rom', bytes: PAGE_BYTES },
      ],
      mainBlock: 0,
    }),
  );
  const device = Buffer.from([4, 9, 0]);
  const blocks = [undefined, Buffer.alloc(PAGE_BYTES)];
  const expected = Buffer.concat([
    ...[Buffer.from('QEVM'), u32(3), u8(1), u32(2), ident('ram'), u32(0), u32(4)],
    u64(3 * PAGE_BYTES + 4),
    ...[ident('pc.ram'), u64(2 * PAGE_BYTES), u64(0)],
    ...[ident('rom'), u64(PAGE_BYTES), u64(0)],
    u64(0x10),
    ...[u8(3), u32(2), u64(2), ident('rom'), u8(0), u64(0x10)],
    device,
  ]);
  t.deepEqual(Buffer.concat(encodeResume({ layout, blocks, device })), expected);
});

test('a layout of the old form has no machine, any other one has', t => {
  const layout = {
    machine: 'pc',
    subsections: Buffer.alloc(0),
    ram: { sectionId: 2, instanceId: 0, version: 4 },
    blocks: [{ name: 'pc.ram', bytes: PAGE_BYTES }],
    mainBlock: 0,
  };
  const code = { code: 'CURLING_REPLICATION_FRAME' };
  for (const change of [{ machine: '' }, { oldForm: true }, { oldForm: 'yes' }])
    t.throws(() => layoutFromJson(Object.assign(layoutToJson(layout) as object, change)), code);
  t.deepEqual(layoutFromJson(layoutToJson(layout)), layout);
});
