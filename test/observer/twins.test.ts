import test from 'ava';
import fc from 'fast-check';
import { Fnv } from '../../lab/guest/fnv.ts';
import { Generator } from '../../lab/guest/generator.ts';
import { decodeRecord, encodeRecord, nextChain } from '../../lab/guest/record.ts';

const U64 = (1n << 64n) - 1n;
const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(b => Buffer.from(b).toString('hex'));

function fnvByBigInt(bytes: Uint8Array): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & U64;
  return hash.toString(16).padStart(16, '0');
}

function generatorByBigInt(seed: bigint, words: number): Buffer {
  const out = Buffer.alloc(words * 8);
  let state = seed || 0x9e3779b97f4a7c15n;
  for (let i = 0; i < words; i++) {
    state ^= state >> 12n;
    state = (state ^ (state << 25n)) & U64;
    state ^= state >> 27n;
    out.writeBigUInt64BE((state * 0x2545f4914f6cdd1dn) & U64, i * 8);
  }
  return out;
}

test('FNV-1a has the published values', t => {
  t.is(new Fnv().hex(), 'cbf29ce484222325');
  t.is(new Fnv().add(Buffer.from('a')).hex(), 'af63dc4c8601ec8c');
  t.is(new Fnv().add(Buffer.from('foobar')).hex(), '85944171f73967e8');
});

test('FNV-1a equals plain 64-bit arithmetic for any bytes in any pieces', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
      const digest = new Fnv().add(bytes.subarray(0, cut)).add(bytes.subarray(cut));
      t.is(digest.hex(), fnvByBigInt(bytes));
    }),
  );
});

test('the generator equals plain 64-bit arithmetic for any seed in pieces of any size', t => {
  const sizes = fc.array(fc.nat(40), { maxLength: 20 });
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: U64 }), sizes, (seed, lengths) => {
      const generator = new Generator(seed);
      const pieces = lengths.map(length => generator.fill(Buffer.alloc(length)));
      const got = Buffer.concat(pieces);
      t.deepEqual(got, generatorByBigInt(seed, 101).subarray(0, got.length));
    }),
  );
});

test('a record survives its datagram; other datagrams are none', t => {
  fc.assert(
    fc.property(hex(8), fc.integer({ min: 1, max: 2 ** 53 - 1 }), hex(16), hex(8), (...fields) => {
      const [run, sequence, nonce, chain] = fields;
      const datagram = encodeRecord({ run, sequence, nonce, chain });
      t.deepEqual(decodeRecord(datagram), { run, sequence, nonce, chain });
      t.is(decodeRecord(datagram.subarray(1)), undefined);
      t.is(decodeRecord(Buffer.concat([datagram, Buffer.alloc(1)])), undefined);
      datagram[0]! ^= 1;
      t.is(decodeRecord(datagram), undefined);
    }),
  );
  t.is(decodeRecord(Buffer.alloc(0)), undefined);
});

test('a chain link depends on the one before, the sequence and the nonce', t => {
  const nonce = '0102030405060708090a0b0c0d0e0f10';
  const link = nextChain('00000000000000ff', 7, nonce);
  t.is(link, fnvByBigInt(Buffer.from(`00000000000000ff0000000000000007${nonce}`, 'hex')));
  t.not(link, nextChain('00000000000000fe', 7, nonce));
  t.not(link, nextChain('00000000000000ff', 8, nonce));
  t.not(link, nextChain('00000000000000ff', 7 + 2 ** 32, nonce));
  t.not(link, nextChain('00000000000000ff', 7, nonce.replace('10', '11')));
});
