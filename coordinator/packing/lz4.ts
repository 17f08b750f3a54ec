/**
 * LZ4 blocks, by an addon that a machine may not have: without it nothing is packed. A block stands behind its unpacked
 * size, u32 little-endian, as the addon makes and takes them.
 */
import { messageOf } from '../../common/errors.ts';

export interface Lz4 {
  compressSync(data: Buffer): Buffer;
  uncompressSync(data: Buffer): Buffer;
}

let missing: string | undefined;

/** Undefined when the addon cannot be loaded; then `lz4Missing` says why. */
export const lz4: Lz4 | undefined = await load();

/** Why there is no LZ4, for an operator; undefined when there is. */
export const lz4Missing: string | undefined = missing;

async function load(): Promise<Lz4 | undefined> {
  try {
    return (await import('lz4-napi')).default;
  } catch (error) {
    const said = messageOf(error).split('\n')[0];
    missing = `checkpoints are sent unpacked: the package lz4-napi cannot be loaded (${said})`;
    return undefined;
  }
}
