/** Disks that the guest can write: their contents are in no checkpoint. Pure. */
import { isObject, type JsonObject } from '../../../common/qmp/messages.ts';
import type { Exit } from './exit.ts';

const WHAT = 'a writable disk; its contents are in no checkpoint and not rolled back at a failover';

/** @param blocks The answer of `query-block`. */
export function diskExits(blocks: readonly JsonObject[]): Exit[] {
  return blocks
    .filter(({ inserted }) => isObject(inserted) && inserted.ro !== true)
    .map(block => ({ name: nameOf(block), what: WHAT }));
}

/** The id of the drive, the name of the node when the operator gave one, or the device. */
function nameOf({ device, inserted, qdev }: JsonObject): string {
  const node = isObject(inserted) ? inserted['node-name'] : undefined;
  const given = typeof node === 'string' && !node.startsWith('#') ? node : '';
  return String(device || given || qdev);
}
