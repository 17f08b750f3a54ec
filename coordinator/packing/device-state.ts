/**
 * The payload of DEVICE_PACKED: the whole device state in fewer bytes than in DEVICE, big-endian. From one checkpoint to
 * the next few of its bytes change.
 *
 *    0  u32 bytes            unpacked, 1 or more
 *    4  u8  relative         1: XOR with the device state of the checkpoint before, as far as that goes; 0: as it is
 *    5  3 bytes of zero
 *    8  u64 digest           xxh64 of the unpacked state
 *   16  an LZ4 block behind its unpacked size, u32 little-endian, which must be `bytes`
 */
import { CurlingError, messageOf } from '../../common/errors.ts';
import { type Frame, frameError } from '../replication/decode.ts';
import { digestOf } from '../replication/digest.ts';
import { DEVICE_PIECE_BYTES } from '../replication/types.ts';
import { DEVICE_PACKED_PREFIX_BYTES } from './format.ts';
import { type Lz4, lz4 } from './lz4.ts';

/** A longer device state is sent as it is. */
export const DEVICE_PACKED_BYTES_MAX = DEVICE_PIECE_BYTES;

/**
 * @param device At most DEVICE_PACKED_BYTES_MAX bytes.
 * @param before That of the checkpoint before; undefined in a full copy.
 */
export function packDevice(by: Lz4, device: Buffer, before: Buffer | undefined): Buffer[] {
  const prefix = Buffer.alloc(DEVICE_PACKED_PREFIX_BYTES);
  prefix.writeUInt32BE(device.length, 0);
  prefix[4] = before ? 1 : 0;
  prefix.writeBigUInt64BE(digestOf(device), 8);
  return [prefix, by.compressSync(before ? relativeTo(device, before) : device)];
}

/**
 * The device state that was packed.
 * @throws CurlingError CURLING_REPLICATION_FRAME for what the form does not allow, CURLING_REPLICATION_UNPACK when it is
 *   not what was packed.
 */
export function unpackDevice(frame: Frame, before: Buffer | undefined): Buffer {
  const cursor = frame.payload.cursor();
  if (cursor.left < DEVICE_PACKED_PREFIX_BYTES + 4) throw wrong(`${cursor.left} bytes`);
  const prefix = cursor.takeFlat(DEVICE_PACKED_PREFIX_BYTES);
  const bytes = prefix.readUInt32BE(0);
  const relative = prefix[4]!;
  if (bytes === 0 || bytes > DEVICE_PACKED_BYTES_MAX)
    throw wrong(`${bytes} bytes, expected 1 to ${DEVICE_PACKED_BYTES_MAX}`);
  if (relative > 1 || prefix.readUIntBE(5, 3) !== 0)
    throw wrong(`relative ${relative}, or what must be zero is not`);
  if (relative === 1 && !before) throw wrong('a full copy that refers to an earlier one');
  const packed = cursor.takeFlat(cursor.left);
  const state = uncompressed(packed, bytes);
  const device = relative === 1 ? relativeTo(state, before!) : state;
  if (digestOf(device) === prefix.readBigUInt64BE(8)) return device;
  const text = `epoch ${frame.epoch}: the unpacked device state is not what the primary has packed`;
  throw new CurlingError('CURLING_REPLICATION_UNPACK', text);
}

function uncompressed(packed: Buffer, bytes: number): Buffer {
  if (packed.readUInt32LE(0) !== bytes) throw wrong(`an LZ4 block of another size than ${bytes}`);
  if (!lz4) throw wrong('LZ4, which this host has not announced');
  let state: Buffer;
  try {
    state = lz4.uncompressSync(packed);
  } catch (error) {
    throw wrong(`no LZ4 block: ${messageOf(error)}`);
  }
  if (state.length === bytes) return state;
  throw wrong(`an LZ4 block of ${state.length} bytes, expected ${bytes}`);
}

/** `state` XOR `before`, as far as both go. Twice gives `state` again. */
function relativeTo(state: Buffer, before: Buffer): Buffer {
  const result = Buffer.from(state);
  const common = Math.min(state.length, before.length);
  for (let at = 0; at < common; at++) result[at]! ^= before[at]!;
  return result;
}

function wrong(text: string): CurlingError {
  return frameError(`packed device state: ${text}`);
}
