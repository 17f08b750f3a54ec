/** What a crashed process left in a store: exactly its newest committed checkpoint, or nothing. */
import fs from 'node:fs';
import { messageOf } from '../../common/errors.ts';
import type { Frame } from '../replication/decode.ts';
import type { PagesRecord } from '../replication/parse.ts';
import { MESSAGE } from '../replication/types.ts';
import { Assembly } from './assembly.ts';
import { decodeManifest, type Manifest } from './manifest.ts';
import type { StoreFiles } from './store-files.ts';

/** A committed checkpoint as its slot holds it. */
export interface SlotCheckpoint {
  epoch: number;
  records: PagesRecord[];
  device: Buffer;
}

/** The manifest and the newest checkpoint, or in `nothing` why there is none. */
export type Found =
  | { manifest: Manifest; checkpoint: SlotCheckpoint; acked: number | undefined }
  | { nothing: string };

/** Looks for a state of `vm` that was committed since this machine's boot. Changes nothing. */
export function findCommitted(files: StoreFiles, vm: string, bootId: string): Found {
  let manifest: Manifest;
  try {
    manifest = decodeManifest(fs.readFileSync(files.manifestPath, 'utf8'));
  } catch (error) {
    return { nothing: `no full copy was committed: ${messageOf(error)}` };
  }
  if (manifest.vm !== vm) return { nothing: `it belongs to the VM ${manifest.vm}` };
  if (manifest.bootId !== bootId) return { nothing: 'it is from before the last boot' };
  const main = manifest.layout.blocks[manifest.layout.mainBlock]!;
  if (fs.fstatSync(files.openMain(main.name).fd).size !== main.bytes) {
    return { nothing: 'the shadow has another size' };
  }
  let newest: SlotCheckpoint | undefined;
  for (const slot of [0, 1] as const) {
    const found = slotCheckpoint(files.journal.read(slot), manifest);
    if (found && (!newest || found.epoch > newest.epoch)) newest = found;
  }
  if (!newest) return { nothing: 'no commit record is intact' };
  const acked = files.marks.get('acked', manifest.generation);
  const applying = files.marks.get('applying', manifest.generation) ?? 0;
  const lost = Math.max(acked ?? 0, applying);
  if (newest.epoch < lost) {
    return { nothing: `checkpoint ${lost} is lost, the newest intact one is ${newest.epoch}` };
  }
  return { manifest, checkpoint: newest, acked };
}

/** The checkpoint in a slot when it is complete, verifies, and belongs to the manifest's pair. */
function slotCheckpoint(frames: Generator<Frame>, manifest: Manifest): SlotCheckpoint | undefined {
  const unbounded = { stagedBytesMax: Infinity, deviceBytesMax: Infinity };
  const records: PagesRecord[] = [];
  let assembly: Assembly | undefined;
  try {
    for (const frame of frames) {
      const expectedEpoch = assembly?.epoch ?? frame.epoch;
      if (!ofPair(frame, manifest) || frame.epoch !== expectedEpoch) return undefined;
      if (!assembly) {
        const begins = frame.epoch === manifest.fullEpoch ? 'fullBegin' : 'checkpointBegin';
        if (frame.type !== MESSAGE[begins] || frame.epoch < manifest.fullEpoch) return undefined;
        assembly = new Assembly(frame, manifest.layout, unbounded);
      } else if (frame.type === MESSAGE.pages) records.push(assembly.pages(frame));
      else if (frame.type === MESSAGE.device) assembly.device(frame);
      else if (frame.type === MESSAGE.commit) {
        return { epoch: frame.epoch, records, device: assembly.finish(frame) };
      } else return undefined;
    }
  } catch {
    // Whatever is wrong with it, it is not a committed checkpoint.
  }
  return undefined;
}

function ofPair(frame: Frame, { generation, sender, receiver }: Manifest): boolean {
  return frame.generation === generation && frame.sender === sender && frame.receiver === receiver;
}
