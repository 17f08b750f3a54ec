import test from 'ava';
import {
  HEADER_BYTES,
  MESSAGE,
  PAYLOAD_BYTES,
  PROTOCOL_VERSION,
} from '../../coordinator/replication/types.ts';
import { smallChunk } from '../replication/fixtures.ts';
import { Random } from '../store/model.ts';
import { tryInput } from './engine.ts';
import { bitFlips, type Field, lies, truncations } from './mutate.ts';
import { FRAMES, MESSAGES, mendFrames } from './targets/replication.ts';

const REFUSED = /^CURLING_REPLICATION_(FRAME|DIGEST|VERSION|IDENTITY)$/;
const WAITS = 'waits for more';
/** The header, and all of a payload but the data of a page. */
const FLIPPED_BYTES_MAX = 600;

/** Where a message says how much it has. */
const LENGTHS: Partial<Record<keyof typeof MESSAGE, Field[]>> = {
  pages: [
    { at: 88, bytes: 4 },
    { at: 92, bytes: 4 },
  ],
  device: [
    { at: 88, bytes: 4 },
    { at: 92, bytes: 4 },
  ],
  commit: [
    { at: 88, bytes: 4 },
    { at: 92, bytes: 4 },
    { at: 96, bytes: 8 },
  ],
};

for (const [name, message] of MESSAGES) {
  test(`${name}: it is read, and written again the same`, async t => {
    const said = await tryInput(FRAMES, { input: message, mended: false }, new Random(1));
    t.regex(said, new RegExp(`^${MESSAGE[name]} .*\nbetween messages$`, 's'));
  });

  test(`${name}: truncated at every byte it says nothing`, async t => {
    const random = new Random(2);
    for (const input of truncations(message)) {
      const said = await tryInput(FRAMES, { input, mended: false }, random);
      if (said !== (input.length === 0 ? 'between messages' : WAITS))
        t.fail(`${input.length}: ${said}`);
    }
    t.pass();
  });

  test(`${name}: no flipped bit is accepted`, async t => {
    const random = new Random(3);
    const next = MESSAGES.get('pages')!;
    let bit = 0;
    for (const flipped of bitFlips(message, 0, FLIPPED_BYTES_MAX)) {
      // What follows fills up a length that grew.
      const input = Buffer.concat([flipped, ...Array(4).fill(next)]);
      const said = await tryInput(FRAMES, { input, mended: false }, random);
      const ofVersion = bit >> 3 === 4 || bit >> 3 === 5;
      const foreignRefusal =
        name === 'refuse' && ofVersion && said.startsWith(`${MESSAGE.refuse} `);
      if (!REFUSED.test(said) && said !== WAITS && !foreignRefusal) t.fail(`bit ${bit}: ${said}`);
      bit++;
    }
    t.is(bit, Math.min(message.length, FLIPPED_BYTES_MAX) * 8);
  });

  test(`${name}: a length that is a lie is refused, or waits, and costs nothing`, async t => {
    const random = new Random(4);
    const [min, max] = PAYLOAD_BYTES[MESSAGE[name]];
    let tried = 0;
    for (const input of lies(message, { at: 8, bytes: 4 }, max)) {
      const claimed = input.readUInt32BE(8);
      const said = await tryInput(FRAMES, { input, mended: false }, random);
      const legal = claimed >= min && claimed <= max;
      const short = claimed > message.length - HEADER_BYTES;
      if (!legal) t.is(said, 'CURLING_REPLICATION_FRAME', `${claimed}`);
      else if (short) t.is(said, WAITS, `${claimed}`);
      else t.is(said, 'CURLING_REPLICATION_DIGEST', `${claimed}`);
      tried++;
    }
    // With their digest right, the counts inside are looked at.
    for (const field of LENGTHS[name] ?? []) {
      for (const input of lies(message, field)) {
        const said = await tryInput(FRAMES, { input: mendFrames(input), mended: true }, random);
        const refused = REFUSED.test(said);
        // COMMIT's are compared with what came, which is not here; an offset may be any that fits.
        if (name === 'pages') t.true(refused, said);
        else t.true(refused || said.endsWith('between messages'), said);
        tried++;
      }
    }
    t.true(tried >= 4);
  });
}

test('headers of every length and version end in a refusal or in waiting', async t => {
  const random = new Random(5);
  const message = MESSAGES.get('refuse')!;
  for (let headerBytes = 0; headerBytes < 256; headerBytes++) {
    for (const version of [0, PROTOCOL_VERSION, 2, 0xffff]) {
      const input = Buffer.concat([message, Buffer.alloc(300, 0x20)]);
      input.writeUInt16BE(version, 4);
      input[7] = headerBytes;
      await tryInput(FRAMES, { input, mended: false }, random);
    }
  }
  t.pass();
});

test('JSON that is nested deeper than a stack is refused like any other', async t => {
  const random = new Random(6);
  for (const [name, member] of [
    ['hello', 'mainBytes'],
    ['welcome', 'stagedBytesMax'],
    ['fullBegin', 'machine'],
  ] as const) {
    const message = MESSAGES.get(name)!;
    const json = message.toString('utf8', HEADER_BYTES);
    const depth = 20_000;
    const value = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const payload = json.replace(new RegExp(`"${member}":("[^"]*"|\\d+)`), `"${member}":${value}`);
    t.not(payload, json);
    const header = Buffer.from(message.subarray(0, HEADER_BYTES));
    header.writeUInt32BE(payload.length, 8);
    const input = mendFrames(Buffer.concat([header, Buffer.from(payload)]));
    t.is(
      await tryInput(FRAMES, { input, mended: true }, random),
      'CURLING_REPLICATION_FRAME',
      name,
    );
  }
});

test('a chunk of pages says what it has', t => {
  t.is(MESSAGES.get('pages')!.readUInt32BE(HEADER_BYTES), smallChunk().count);
});
