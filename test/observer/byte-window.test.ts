import test from 'ava';
import fc from 'fast-check';
import { ByteWindow } from '../../lab/observer/byte-window.ts';

const CHUNK = 16_384;

test('judges every byte as a plain table would', t => {
  const write = fc.record({
    offset: fc.integer({ min: CHUNK - 40, max: CHUNK + 40 }),
    bytes: fc.uint8Array({ maxLength: 60, max: 1 }),
  });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 12 }), writes => {
      const window = new ByteWindow();
      const table = new Map<number, number>();
      for (const { offset, bytes } of writes) {
        const expected = {
          fresh: 0,
          same: 0,
          differsAt: undefined as number | undefined,
          tooOld: 0,
        };
        bytes.forEach((byte, i) => {
          const known = table.get(offset + i);
          if (known === undefined) {
            table.set(offset + i, byte);
            expected.fresh++;
          } else if (known === byte) expected.same++;
          else expected.differsAt ??= offset + i;
        });
        t.deepEqual(window.write(offset, Buffer.from(bytes)), expected);
      }
    }),
  );
});

test('what lies further back than the window is not judged, and counted', t => {
  const window = new ByteWindow(2 * CHUNK);
  window.write(0, Buffer.alloc(100, 1));
  window.write(5 * CHUNK, Buffer.alloc(10, 1));
  const late = window.write(3 * CHUNK - 4, Buffer.alloc(8, 2));
  t.deepEqual(late, { fresh: 4, same: 0, differsAt: undefined, tooOld: 4 });
});
