/** The replication wire: every message as bytes, and what its parser makes of it. */
import { isObject } from '../../../common/qmp/messages.ts';
import { layoutToJson } from '../../../coordinator/checkpoint/layout-json.ts';
import { packDevice } from '../../../coordinator/packing/device-state.ts';
import { Packer } from '../../../coordinator/packing/packer.ts';
import { type Frame, FrameDecoder } from '../../../coordinator/replication/decode.ts';
import { Digest } from '../../../coordinator/replication/digest.ts';
import {
  beatPayload,
  commitPayload,
  devicePayload,
  encodeFrame,
  jsonPayload,
  pagesPayload,
  standbyPayload,
} from '../../../coordinator/replication/encode.ts';
import {
  parseBeat,
  parseCommit,
  parseDevice,
  parseFullBegin,
  parseHello,
  parsePages,
  parseReason,
  parseRefuse,
  parseStandby,
  parseWelcome,
} from '../../../coordinator/replication/parse.ts';
import { CheckpointSummary } from '../../../coordinator/replication/summary.ts';
import {
  COMMIT_BYTES,
  DIGEST_OFFSET,
  HEADER_BYTES,
  MAGIC,
  MESSAGE,
  type MessageType,
  PAYLOAD_BYTES,
  PROTOCOL_VERSION,
} from '../../../coordinator/replication/types.ts';
import { LZ4 } from '../../packing/packed-guest.ts';
import { ADDRESS, smallChunk } from '../../replication/fixtures.ts';
import { LAYOUT } from '../../replication/world.ts';
import { codeOf, must, piecesOf, type Target } from '../target.ts';

const PAYLOADS: Readonly<Record<keyof typeof MESSAGE, Buffer[]>> = {
  hello: jsonPayload({
    vm: 'vm1',
    host: 'a',
    protocol: 1,
    guest: { machine: 'pc' },
    mainBytes: 4096,
  }),
  welcome: jsonPayload({ host: 'b', stagedBytesMax: 1 << 20, committed: 4, generation: 2 }),
  refuse: jsonPayload({ code: 'CURLING_STATE', desc: 'not now' }),
  fullBegin: jsonPayload(layoutToJson(LAYOUT)),
  checkpointBegin: [],
  pages: pagesPayload(smallChunk()),
  device: devicePayload(Buffer.from('device state'), 0, 12),
  commit: commitPayload({ messages: 3, pages: 2, payloadBytes: 4141, digest: 0x0123456789abcdefn }),
  abort: [],
  ack: [],
  beat: beatPayload({ stampUs: 1, echoUs: 2 ** 40, heldUs: 7 }),
  guestLost: jsonPayload({ reason: 'its QEMU is gone' }),
  bye: jsonPayload({ reason: 'the operator ended protection' }),
  standby: standbyPayload({ up: false, reason: 'it ended with status 1' }),
  packed: new Packer(LZ4, LAYOUT).pack(smallChunk(), 'filter'),
  devicePacked: packDevice(LZ4, Buffer.alloc(100, 'device state'), undefined),
};

/** A valid message of each type, by its name. */
export const MESSAGES: ReadonlyMap<keyof typeof MESSAGE, Buffer> = new Map(
  (Object.keys(MESSAGE) as (keyof typeof MESSAGE)[]).map(name => [
    name,
    Buffer.concat(encodeFrame(MESSAGE[name], ADDRESS, PAYLOADS[name]).buffers),
  ]),
);

/** A value of the payload as its own parser understands it, put into bytes again, if it is not JSON. */
function again(frame: Frame): Buffer[] | undefined {
  switch (frame.type) {
    case MESSAGE.pages: {
      const { count, dataPages, entries, data } = parsePages(frame);
      const prefix = Buffer.alloc(8);
      prefix.writeUInt32BE(count, 0);
      prefix.writeUInt32BE(dataPages, 4);
      return [prefix, entries, ...data.pieces];
    }
    case MESSAGE.device: {
      const { offset, total, data } = parseDevice(frame);
      return devicePayload(data.flat(), offset, total);
    }
    case MESSAGE.commit:
      return commitPayload(parseCommit(frame));
    case MESSAGE.beat:
      return beatPayload(parseBeat(frame));
    default:
      return undefined;
  }
}

/** What the parser of a JSON message says, in words that tell two messages apart. */
function read(frame: Frame): unknown {
  switch (frame.type) {
    case MESSAGE.hello:
      return parseHello(frame);
    case MESSAGE.welcome:
      return parseWelcome(frame);
    case MESSAGE.refuse:
      return parseRefuse(frame).message;
    case MESSAGE.fullBegin:
      return layoutToJson(parseFullBegin(frame));
    case MESSAGE.standby:
      return parseStandby(frame);
    case MESSAGE.guestLost:
    case MESSAGE.bye:
      return parseReason(frame);
    default:
      return 'no payload';
  }
}

/** Accepts one message: its payload is read, and must say the same when it is written again. */
function accept(frame: Frame): string {
  const payload = again(frame);
  const own = frame.payload.flat();
  if (payload) must(Buffer.concat(payload).equals(own), 'a payload written again is the same');
  const value = payload ? own.toString('hex').slice(0, 200) : read(frame);
  if (isObject(value))
    must(JSON.stringify(value).length < 2 << 20, 'a value is no larger than its message');
  if (frame.version === PROTOCOL_VERSION) {
    const { buffers } = encodeFrame(frame.type, frame, frame.payload.pieces);
    must(buffers[0]!.equals(frame.header), 'a header written again is the same');
  } else must(frame.type === MESSAGE.refuse, 'of another version only REFUSE is read');
  return `${frame.type} ${JSON.stringify(value)?.slice(0, 300)}`;
}

function digestsIn(inputs: readonly Buffer[]): Set<string> {
  const known = new Set<string>();
  for (const input of inputs) {
    const decoder = new FrameDecoder();
    decoder.push(input);
    for (let frame = decoder.next(); frame; frame = decoder.next()) known.add(wholeOf(frame));
  }
  return known;
}

function wholeOf(frame: Frame): string {
  return Buffer.concat([frame.header, ...frame.payload.pieces]).toString('base64');
}

const SEEDS = [...MESSAGES.values()];
const KNOWN = digestsIn(SEEDS);

export const FRAMES: Target = {
  name: 'replication messages',
  seeds: [...SEEDS, Buffer.concat(SEEDS)],
  words: [
    ...SEEDS.map(seed => seed.subarray(0, HEADER_BYTES)),
    ...['"', '{', '[[[[', '\\u0000', '1e400', '-0', 'null', '{"__proto__":'].map(
      Buffer.from as (t: string) => Buffer,
    ),
  ],
  allocatedMax: bytes => 16 * bytes + (64 << 10),
  mend: mendFrames,
  run(attempt) {
    const decoder = new FrameDecoder();
    const said: string[] = [];
    try {
      for (const piece of piecesOf(attempt)) {
        decoder.push(piece);
        for (let frame = decoder.next(); frame; frame = decoder.next()) {
          if (!attempt.mended && frame.version === PROTOCOL_VERSION)
            must(KNOWN.has(wholeOf(frame)), 'a changed message is never accepted');
          said.push(accept(frame));
        }
      }
      said.push(decoder.partial ? 'waits for more' : 'between messages');
    } catch (error) {
      said.push(codeOf(error));
    }
    return said.join('\n');
  },
};

/**
 * Sets right the digest, and a length that says too much, of every message that can still be found, and what a COMMIT
 * says of the messages before it.
 */
export function mendFrames(input: Buffer): Buffer {
  const mended = Buffer.from(input);
  let summary: CheckpointSummary | undefined;
  for (let at = 0; at + HEADER_BYTES <= mended.length; ) {
    if (mended.readUInt32BE(at) !== MAGIC) return mended;
    const [, max] = PAYLOAD_BYTES[mended[at + 6] as MessageType] ?? [0, 0];
    const left = mended.length - at - HEADER_BYTES;
    const bytes = Math.min(mended.readUInt32BE(at + 8), left, max);
    mended.writeUInt32BE(bytes, at + 8);
    const end = at + HEADER_BYTES + bytes;
    const type = mended[at + 6];
    if (type === MESSAGE.commit && bytes === COMMIT_BYTES && summary)
      commitPayload(summary.record())[0]!.copy(mended, at + HEADER_BYTES);
    const digest = new Digest().update(mended.subarray(at, at + DIGEST_OFFSET));
    const value = digest.update(mended.subarray(at + HEADER_BYTES, end)).value();
    mended.writeBigUInt64BE(value, at + DIGEST_OFFSET);
    if (type === MESSAGE.fullBegin || type === MESSAGE.checkpointBegin)
      summary = new CheckpointSummary();
    const pages = pagesIn(type, mended.subarray(at + HEADER_BYTES, end));
    if (type !== MESSAGE.beat) summary?.add(value, bytes, pages);
    at = end;
  }
  return mended;
}

/** The pages that a message speaks of, as it says itself. */
function pagesIn(type: number | undefined, payload: Buffer): number {
  const at = type === MESSAGE.packed ? 4 : 0;
  const has = type === MESSAGE.pages || type === MESSAGE.packed;
  return has && payload.length >= at + 4 ? payload.readUInt32BE(at) : 0;
}
