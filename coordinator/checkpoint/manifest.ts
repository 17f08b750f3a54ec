/**
 * What binds a store's files to one pair and one boot of the machine. Its presence means that a
 * full copy was committed; it is removed before the shadow is changed by another.
 *
 *   line 1  xxh64 of line 2, 16 hex digits
 *   line 2  JSON
 */
import { digestOf } from '../replication/digest.ts';
import type { PairIdentity } from '../replication/types.ts';
import type { GuestLayout } from './layout.ts';
import { layoutFromJson, layoutToJson } from './layout-json.ts';

/** Of the manifest and of what it describes. */
const FORMAT = 1;

export interface Manifest extends PairIdentity {
  vm: string;
  /**
   * /proc/sys/kernel/random/boot_id: what is in memory does not survive a boot, what is on a disk
   * is too old then.
   */
  bootId: string;
  /** Epoch of the full copy. */
  fullEpoch: number;
  layout: GuestLayout;
}

export function encodeManifest(manifest: Manifest): Buffer {
  const fields = { format: FORMAT, ...manifest, layout: layoutToJson(manifest.layout) };
  const json = JSON.stringify(fields);
  return Buffer.from(`${hexDigest(json)}\n${json}\n`);
}

/** @throws Error when the text is not a whole manifest of this format. */
export function decodeManifest(text: string): Manifest {
  const [digest, json = ''] = text.split('\n');
  if (digest !== hexDigest(json)) throw new Error('the manifest is damaged');
  const { format, layout, ...fields } = JSON.parse(json);
  if (format !== FORMAT) throw new Error(`the manifest has format ${format}, not ${FORMAT}`);
  return { ...fields, layout: layoutFromJson(layout) };
}

function hexDigest(text: string): string {
  return digestOf(Buffer.from(text)).toString(16).padStart(16, '0');
}
