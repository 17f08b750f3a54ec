import test from 'ava';
import fc from 'fast-check';
import { CurlingError } from '../../common/errors.ts';
import {
  DEVICE_PACKED_BYTES_MAX,
  packDevice,
  unpackDevice,
} from '../../coordinator/packing/device-state.ts';
import { encodeFrame } from '../../coordinator/replication/encode.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { IDENTITY } from '../store/model.ts';
import { decoded, LZ4 } from './packed-guest.ts';

const frameOf = (payload: readonly Buffer[]) =>
  decoded(encodeFrame(MESSAGE.devicePacked, { ...IDENTITY, epoch: 3 }, payload).buffers);

const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 }).map(array => Buffer.from(array));

test('a device state comes out as it went in, whatever came before it', t => {
  fc.assert(
    fc.property(bytes, fc.option(bytes, { nil: undefined }), (device, before) => {
      t.true(unpackDevice(frameOf(packDevice(LZ4, device, before)), before).equals(device));
    }),
    { numRuns: 200 },
  );
});

test('of a state that hardly changed little is sent', t => {
  const before = Buffer.from(Array.from({ length: 60_000 }, (_, n) => (n * n * 31) >> 3));
  const device = Buffer.from(before);
  device[500]! += 1;
  const [prefix, block] = packDevice(LZ4, device, before);
  t.is(prefix!.length, 16);
  t.true(block!.length < 300, `${block!.length} bytes`);
});

test('what the form does not allow is refused, and so is a state that is not what was packed', t => {
  const device = Buffer.alloc(5000, 'device ');
  const before = Buffer.alloc(5000, 'devicf ');
  const codeOf = (change: (prefix: Buffer, block: Buffer) => void, base: Buffer | undefined) => {
    const payload = packDevice(LZ4, device, before).map(piece => Buffer.from(piece));
    change(payload[0]!, payload[1]!);
    try {
      unpackDevice(frameOf(payload), base);
      return 'taken';
    } catch (error) {
      if (error instanceof CurlingError) return `${error.code} ${error.message}`;
      throw error;
    }
  };
  t.is(
    codeOf(() => {}, before),
    'taken',
  );
  const refused: [RegExp, (prefix: Buffer, block: Buffer) => void][] = [
    [/ 0 bytes/, prefix => prefix.writeUInt32BE(0, 0)],
    [/expected 1 to/, prefix => prefix.writeUInt32BE(DEVICE_PACKED_BYTES_MAX + 1, 0)],
    [/relative 2/, prefix => prefix.writeUInt8(2, 4)],
    [/must be zero/, prefix => prefix.writeUInt8(1, 7)],
    [/another size than 5000/, (_, block) => block.writeUInt32LE(1 << 30, 0)],
    [/no LZ4 block/, (_, block) => block.fill(0xff, 4)],
  ];
  for (const [words, change] of refused) {
    const said = codeOf(change, before);
    t.regex(said, /^CURLING_REPLICATION_FRAME /);
    t.regex(said, words);
  }
  t.regex(
    codeOf(() => {}, undefined),
    /^CURLING_REPLICATION_FRAME .*full copy/,
  );
  t.regex(
    codeOf(() => {}, Buffer.alloc(5000, 'devicg ')),
    /^CURLING_REPLICATION_UNPACK .*epoch 3/,
  );
});
