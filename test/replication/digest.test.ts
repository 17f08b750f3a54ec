/** Both ways to compute a digest give the same. */
import test from 'ava';
import fc from 'fast-check';
import xxhash from 'xxhash-wasm';
import { digestOf, nativeDigestOf, wasmDigestOf } from '../../coordinator/replication/digest.ts';

const { h64Raw } = await xxhash();

const parts = fc.array(
  fc
    .tuple(fc.constantFrom(0, 1, 31, 32, 80, 4096, 16_384, 65_536, 65_537, 200_000), fc.nat(255))
    .map(([bytes, fill]) => Buffer.alloc(bytes, `${fill}.`)),
  { maxLength: 4 },
);

for (const [name, digest] of Object.entries({ digestOf, wasmDigestOf, nativeDigestOf })) {
  test(`${name} is xxh64 over all parts, however they are cut`, t => {
    if (!digest) return t.pass('there is no native part for this machine');
    fc.assert(
      fc.property(parts, list => digest(...list) === h64Raw(Buffer.concat(list))),
      { numRuns: 60 },
    );
    t.is(digest(Buffer.from('abc')), 0x44bc2cf5ad770999n);
  });
}
