import test from 'ava';
import fc from 'fast-check';
import { PcapReader } from '../../lab/observer/pcap-file.ts';
import { pcapFile } from './frame-builder.ts';

const FRAMES = [
  { atMs: 1_700_000_000_000.25, bytes: Buffer.from('first frame') },
  { atMs: 1_700_000_000_001.5, bytes: Buffer.alloc(0) },
  { atMs: 1_700_000_002_000, bytes: Buffer.from('the third one') },
];

function read(pieces: Buffer[]): { atMs: number; bytes: Buffer }[] {
  const reader = new PcapReader();
  const frames = [];
  for (const piece of pieces)
    for (const { atMs, bytes } of reader.push(piece))
      frames.push({ atMs, bytes: Buffer.from(bytes) });
  return frames;
}

test('reads both byte orders and both resolutions', t => {
  for (const little of [true, false])
    for (const nano of [true, false])
      t.deepEqual(read([pcapFile(FRAMES, { little, nano })]), FRAMES);
});

test('reads a file in pieces of every size', t => {
  const file = pcapFile(FRAMES);
  for (let size = 1; size <= file.length; size++) {
    const pieces = [];
    for (let at = 0; at < file.length; at += size) pieces.push(file.subarray(at, at + size));
    t.deepEqual(read(pieces), FRAMES, `pieces of ${size}`);
  }
});

test('a file cut at any byte gives its whole frames and says how much is left', t => {
  const file = pcapFile(FRAMES);
  const ends = [24 + 16 + 11, 24 + 16 + 11 + 16, file.length];
  for (let length = 0; length <= file.length; length++) {
    const reader = new PcapReader();
    const frames = [...reader.push(file.subarray(0, length))];
    const whole = ends.filter(end => end <= length).length;
    t.is(frames.length, whole, `cut at ${length}`);
    t.is(reader.started, length >= 24);
    const consumed = whole > 0 ? ends[whole - 1]! : length >= 24 ? 24 : 0;
    t.is(reader.tailBytes, length - consumed);
  }
});

test('marks frames of which only a part was captured', t => {
  const file = pcapFile(FRAMES.slice(0, 1));
  file.writeUInt32LE(2000, 24 + 12);
  t.deepEqual(
    [...new PcapReader().push(file)].map(frame => frame.cut),
    [true],
  );
});

test('refuses other files, other links and endless frames', t => {
  const name = { name: 'ObserverError' };
  t.throws(() => [...new PcapReader().push(Buffer.alloc(24, 7))], name);
  t.throws(() => [...new PcapReader().push(pcapFile([], { linkType: 113 }))], name);
  const endless = pcapFile(FRAMES);
  endless.writeUInt32LE(0xffff_ffff, 24 + 8);
  t.throws(() => [...new PcapReader().push(endless)], { ...name, message: /4294967295/ });
});

test('any bytes give frames or a typed error, and stay within bounds', t => {
  const file = pcapFile(FRAMES);
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bytes = Buffer.from(file);
      bytes[at]! ^= flip;
      try {
        for (const frame of new PcapReader().push(bytes)) t.true(frame.bytes.length < 65_536);
      } catch (error) {
        t.is((error as Error).name, 'ObserverError');
      }
    }),
  );
});
