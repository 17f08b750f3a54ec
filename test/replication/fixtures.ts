/** One row for each message of the wire: its fields and its bytes. */
import { CHUNK_PAGES, PageChunk } from '../../coordinator/checkpoint/page-chunk.ts';
import { packDevice } from '../../coordinator/packing/device-state.ts';
import { Packer } from '../../coordinator/packing/packer.ts';
import { digestOf } from '../../coordinator/replication/digest.ts';
import {
  beatPayload,
  commitPayload,
  devicePayload,
  encodeFrame,
  jsonPayload,
  pagesPayload,
  standbyPayload,
  vmIdOf,
} from '../../coordinator/replication/encode.ts';
import {
  type FrameAddress,
  MESSAGE,
  type MessageType,
} from '../../coordinator/replication/types.ts';

import { LZ4 } from '../packing/packed-guest.ts';
import { LAYOUT } from '../store/model.ts';

export const SENDER = 'a1'.repeat(16);
export const RECEIVER = 'b2'.repeat(16);
export const ADDRESS: FrameAddress = {
  generation: 3,
  epoch: 0x1_0000_0005,
  vmId: vmIdOf('vm1'),
  sender: SENDER,
  receiver: RECEIVER,
};

/** A chunk with one data page of `byte` and one filled page. */
export function smallChunk(byte = 0x5a): PageChunk {
  const chunk = new PageChunk(2);
  const at = chunk.addData(1, 7);
  chunk.data.fill(byte, at, at + 4096);
  chunk.addFill(0, 0x01020304, 0xee);
  return chunk;
}

/** A chunk with three filled pages that lie side by side. */
function filledChunk(): PageChunk {
  const chunk = new PageChunk(3);
  for (const page of [2, 3, 4]) chunk.addFill(1, page, 0xee);
  return chunk;
}

export function chunkOf(pages: readonly { block: number; page: number; byte: number }[]) {
  const chunk = new PageChunk(Math.max(CHUNK_PAGES, pages.length));
  for (const { block, page, byte } of pages) {
    const at = chunk.addData(block, page);
    chunk.data.fill(byte, at, at + 4096);
  }
  return chunk;
}

export interface Fixture {
  name: keyof typeof MESSAGE;
  type: MessageType;
  payload: Buffer[];
  /** The payload as it must stand on the wire, in hex without spaces. */
  hex: string;
}

function fixture(name: keyof typeof MESSAGE, payload: Buffer[], hex: string): Fixture {
  return { name, type: MESSAGE[name], payload, hex: hex.replaceAll(' ', '') };
}

const hexOf = (text: string) => Buffer.from(text).toString('hex');

export const FIXTURES: Fixture[] = [
  fixture('hello', jsonPayload({ vm: 'vm1' }), hexOf('{"vm":"vm1"}')),
  fixture('welcome', jsonPayload({ host: 'b' }), hexOf('{"host":"b"}')),
  fixture('refuse', jsonPayload({ code: 'C', desc: 'd' }), hexOf('{"code":"C","desc":"d"}')),
  fixture('fullBegin', jsonPayload({ blocks: [] }), hexOf('{"blocks":[]}')),
  fixture('checkpointBegin', [], ''),
  fixture(
    'pages',
    pagesPayload(smallChunk()),
    `00000002 00000001 0001 01 00 00000007 0000 02 ee 01020304 ${'5a'.repeat(4096)}`,
  ),
  fixture('device', devicePayload(Buffer.from('dev'), 4, 9), '00000004 00000009 646576'),
  fixture(
    'commit',
    commitPayload({ messages: 2, pages: 3, payloadBytes: 4, digest: 0x0123456789abcdefn }),
    '00000002 00000003 0000000000000004 0123456789abcdef',
  ),
  fixture('abort', [], ''),
  fixture('ack', [], ''),
  fixture(
    'beat',
    beatPayload({ stampUs: 1, echoUs: 0x100000000, heldUs: 7 }),
    '0000000000000001 0000000100000000 00000007',
  ),
  fixture('guestLost', jsonPayload({ reason: 'q' }), hexOf('{"reason":"q"}')),
  fixture('bye', jsonPayload({ reason: 'r' }), hexOf('{"reason":"r"}')),
  fixture(
    'standby',
    standbyPayload({ up: false, reason: 's' }),
    hexOf('{"up":false,"reason":"s"}'),
  ),
  fixture(
    'packed',
    new Packer(LZ4, LAYOUT).pack(filledChunk(), 'filter'),
    // Without content the digest is that of nothing.
    '00000001 00000003 0000000c 00000000 ef46db3751d8e999 0001 02 ee 00000002 00000003',
  ),
  fixture(
    'devicePacked',
    packDevice(LZ4, Buffer.from('ab'), Buffer.from('aa')),
    // The block: its size, a token that says two literals, and these.
    `00000002 01 000000 ${digestOf(Buffer.from('ab')).toString(16).padStart(16, '0')} 02000000 20 0003`,
  ),
];

export function bytesOf(row: Fixture, address: FrameAddress = ADDRESS): Buffer {
  return Buffer.concat(encodeFrame(row.type, address, row.payload).buffers);
}
