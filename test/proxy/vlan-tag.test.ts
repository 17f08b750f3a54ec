import test from 'ava';
import fc from 'fast-check';
import { reinsertVlanTag, VNET_HEADER_BYTES } from '../../proxy/vlan-tag.ts';

test('a tag goes between the addresses and the type, and offsets move with it', t => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 14, maxLength: 80 }),
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(0x8100, 0x88a8),
      fc.boolean(),
      fc.integer({ min: 0, max: 300 }),
      fc.integer({ min: 0, max: 300 }),
      (frame, control, protocol, needsChecksum, headerLength, checksumStart) => {
        const memory = Buffer.alloc(16 + VNET_HEADER_BYTES + frame.length);
        memory.writeUInt8(needsChecksum ? 1 : 0, 16);
        memory.writeUInt16LE(headerLength, 18);
        memory.writeUInt16LE(checksumStart, 22);
        memory.set(frame, 16 + VNET_HEADER_BYTES);

        t.is(reinsertVlanTag(memory, 16, protocol, control), 12);

        const tag = Buffer.alloc(4);
        tag.writeUInt16BE(protocol, 0);
        tag.writeUInt16BE(control, 2);
        const expected = Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
        t.deepEqual(memory.subarray(12 + VNET_HEADER_BYTES), expected);
        t.is(memory.readUInt16LE(14), headerLength === 0 ? 0 : headerLength + 4);
        t.is(memory.readUInt16LE(18), needsChecksum ? checksumStart + 4 : checksumStart);
      },
    ),
  );
});
