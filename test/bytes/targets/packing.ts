/** The form of packed pages: what a backup makes of it. */
import { PAGE_BYTES } from '../../../coordinator/checkpoint/layout.ts';
import {
  DEVICE_PACKED_BYTES_MAX,
  packDevice,
  unpackDevice,
} from '../../../coordinator/packing/device-state.ts';
import {
  DEVICE_PACKED_PREFIX_BYTES,
  PACK_METHOD,
  PACKED_PAGES_MAX,
  PACKED_PREFIX_BYTES,
  UNPACKED_PAGES_MAX,
} from '../../../coordinator/packing/format.ts';
import { type ReadPage, unpack } from '../../../coordinator/packing/unpacker.ts';
import { encodeFrame } from '../../../coordinator/replication/encode.ts';
import { MESSAGE, PAYLOAD_BYTES } from '../../../coordinator/replication/types.ts';
import { type Dirty, decoded, LZ4, PackedGuest, pagesOf } from '../../packing/packed-guest.ts';
import { IDENTITY, LAYOUT } from '../../store/model.ts';
import { codeOf, must, type Target } from '../target.ts';

const PAGES = pagesOf(LAYOUT);

/** Payloads of all kinds and both methods, and the guest that they were made of. */
function seeds(): { payloads: Buffer[]; before: Buffer[] } {
  const guest = new PackedGuest(3);
  const { packer } = guest;
  const dirty: Dirty[] = [0, 1, 2, 5].map(page => ({ block: 1, page, change: 'new' }));
  const again = dirty.map(
    (page, index) => ({ ...page, change: index % 2 ? 'few' : 'nothing' }) as const,
  );
  const payloads = [packer.pack(guest.chunk(dirty), 'filter')];
  const before = guest.copy().blocks;
  packer.next();
  payloads.push(packer.pack(guest.chunk(again), 'pack'));
  guest.page(0, 2).fill('some text. ');
  payloads.push(packer.pack(guest.chunk([{ block: 0, page: 2, change: 'nothing' }]), 'pack'));
  payloads.push(packer.pack(guest.chunk([{ block: 1, page: 9, change: 'fill' }]), 'filter'));
  return { payloads: payloads.map(pieces => Buffer.concat(pieces)), before };
}

const { payloads: SEEDS, before: BEFORE } = seeds();
const read: ReadPage = (block, page, into) =>
  BEFORE[block]!.copy(into, 0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);

/** Makes an LZ4 block of what may be the body, and the sizes right. */
function mend(input: Buffer): Buffer {
  if (input.length < PACKED_PREFIX_BYTES) return input;
  const prefix = Buffer.from(input.subarray(0, PACKED_PREFIX_BYTES));
  const rest = input.subarray(PACKED_PREFIX_BYTES);
  prefix.writeUInt32BE(rest.length, 8);
  prefix.fill(0, 12, 16);
  if (input[12] !== PACK_METHOD.lz4) return Buffer.concat([prefix, rest]);
  prefix[12] = PACK_METHOD.lz4;
  return Buffer.concat([prefix, LZ4.compressSync(rest)]);
}

export const PACKED: Target = {
  name: 'packed pages',
  seeds: SEEDS,
  words: SEEDS.map(seed => seed.subarray(0, PACKED_PREFIX_BYTES + 12)),
  // An LZ4 block can say much in few bytes: the bounds of the form are the bounds of it.
  allocatedMax: bytes => 8 * bytes + 3 * UNPACKED_PAGES_MAX * (PAGE_BYTES + 8) + (256 << 10),
  mend,
  run({ input }) {
    const [min, max] = PAYLOAD_BYTES[MESSAGE.packed];
    if (input.length < min || input.length > max) return 'no message';
    const frame = decoded(encodeFrame(MESSAGE.packed, { ...IDENTITY, epoch: 2 }, [input]).buffers);
    try {
      const { pages, record } = unpack(frame, PAGES, read);
      const { count, dataPages, entries, data } = record;
      must(count <= pages && pages <= PACKED_PAGES_MAX, 'no more pages than it speaks of');
      must(dataPages <= UNPACKED_PAGES_MAX && data.bytes === dataPages * PAGE_BYTES, 'whole pages');
      must(entries.length === 8 * count, 'an entry for each page');
      return `${pages} ${count} ${dataPages} ${data.flat().toString('hex', 0, 64)}`;
    } catch (error) {
      return codeOf(error);
    }
  },
};

const DEVICE = Buffer.alloc(400, 'the state of some devices ');
const DEVICE_BEFORE = Buffer.alloc(300, 'the state of same devices ');

export const PACKED_DEVICE: Target = {
  name: 'packed device state',
  seeds: [undefined, DEVICE_BEFORE].map(base => Buffer.concat(packDevice(LZ4, DEVICE, base))),
  allocatedMax: bytes => 8 * bytes + 3 * DEVICE_PACKED_BYTES_MAX + (256 << 10),
  /** Makes an LZ4 block of what may be one, and the size and the digest right. */
  mend(input) {
    if (input.length <= DEVICE_PACKED_PREFIX_BYTES) return input;
    const rest = input.subarray(DEVICE_PACKED_PREFIX_BYTES, input.length).subarray(0, 1 << 20);
    return Buffer.concat(packDevice(LZ4, rest, input[4] === 1 ? DEVICE_BEFORE : undefined));
  },
  run({ input }) {
    const [min, max] = PAYLOAD_BYTES[MESSAGE.devicePacked];
    if (input.length < min || input.length > max) return 'no message';
    const { buffers } = encodeFrame(MESSAGE.devicePacked, { ...IDENTITY, epoch: 2 }, [input]);
    try {
      const device = unpackDevice(decoded(buffers), DEVICE_BEFORE);
      must(device.length === input.readUInt32BE(0), 'as long as it says');
      return device.toString('hex', 0, 64);
    } catch (error) {
      return codeOf(error);
    }
  },
};
