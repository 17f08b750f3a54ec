/**
 * What the store's tests do with a store: make one, feed it messages, and compare it with the
 * model.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Store, StoreOptions } from '../../coordinator/checkpoint/store.ts';
import type { Frame } from '../../coordinator/replication/decode.ts';
import { parseFullBegin } from '../../coordinator/replication/parse.ts';
import { MESSAGE } from '../../coordinator/replication/types.ts';
import { type GuestState, LAYOUT } from './model.ts';

export const BOOT_ID = '11111111-2222-3333-4444-555555555555';

/** A directory in shared memory that goes away with the test. */
export function directoryOf(t: ExecutionContext): string {
  const base = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
  const parent = fs.mkdtempSync(path.join(base, 'curling-test-store-'));
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }));
  return path.join(parent, 'vm1');
}

export function optionsOf(directory: string, more: Partial<StoreOptions> = {}): StoreOptions {
  return { directory, vm: 'vm1', bootId: BOOT_ID, spareBytes: 1 << 20, recoverable: true, ...more };
}

/** Feeds messages as a receiver session would, without acknowledging. */
export async function feed(store: Store, frames: readonly Frame[]): Promise<void> {
  for (const frame of frames) {
    if (frame.type === MESSAGE.fullBegin) await store.beginFull(frame, parseFullBegin(frame));
    else if (frame.type === MESSAGE.checkpointBegin) store.beginCheckpoint(frame);
    else if (frame.type === MESSAGE.pages || frame.type === MESSAGE.packed) store.pages(frame);
    else if (frame.type === MESSAGE.device || frame.type === MESSAGE.devicePacked)
      store.device(frame);
    else store.commit(frame);
  }
}

/** What a failover would resume from. The store accepts nothing afterwards. */
export function stateOf(store: Store): GuestState & { epoch: number } {
  const { otherBlocks, mainPath, device, epoch } = store.finalize();
  const main = fs.readFileSync(mainPath);
  const blocks = LAYOUT.blocks.map((_, index) =>
    index === LAYOUT.mainBlock ? main : otherBlocks.get(index)!,
  );
  return { blocks, device, epoch };
}

/** Undefined when both are the same to the byte, or else the first difference. */
export function difference(state: GuestState, expected: GuestState): string | undefined {
  for (const [index, { name, bytes }] of LAYOUT.blocks.entries()) {
    const want = expected.blocks[index]!.subarray(0, bytes);
    const got = state.blocks[index]!;
    if (got.equals(want)) continue;
    const at = want.findIndex((byte, offset) => byte !== got[offset]);
    return `${name}: ${got.length} of ${bytes} bytes, differs at ${at}`;
  }
  return state.device.equals(expected.device) ? undefined : 'device state';
}
