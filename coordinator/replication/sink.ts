/**
 * Where the backup's end puts checkpoints: the store in coordinator/checkpoint/store.ts, or a fake
 * in tests.
 */
import type { GuestLayout } from '../checkpoint/layout.ts';
import type { Frame } from './decode.ts';
import type { PairIdentity } from './types.ts';

export interface CheckpointSink {
  /** The pair whose committed state is held intact; undefined when there is none. */
  readonly identity: PairIdentity | undefined;
  /** Newest committed epoch of that pair. */
  readonly committed: number | undefined;
  /** Most payload bytes of one checkpoint. */
  readonly stagedBytesMax: number;
  /** Gives up what is held, and makes the shadow ready for a full copy. */
  beginFull(frame: Frame, layout: GuestLayout): Promise<void>;
  /** The checkpoint after the committed one begins. */
  beginCheckpoint(frame: Frame): void;
  /**
   * PAGES or PACKED of the open checkpoint. Throws CurlingError for what does not fit the guest, or when
   * storage fails. The sink releases the payload after its last use.
   */
  pages(frame: Frame): void;
  /** DEVICE or DEVICE_PACKED of the open checkpoint. The sink releases the payload after its last use. */
  device(frame: Frame): void;
  /** COMMIT: verifies the whole and makes it the committed state. */
  commit(frame: Frame): void;
  /** Forgets the open checkpoint, if there is one. */
  abort(): void;
  /** Brings the shadow to the committed state. May be called at any time. */
  apply(): void;
  /** Records that `epoch` is about to be acknowledged. */
  noteAck(epoch: number): void;
}
