/**
 * Two slot files that hold the newest checkpoints, each as the messages it came in: the slot of
 * epoch n is n modulo 2. The COMMIT message at the end is the commit record. What follows it in the
 * file is left over from an older, longer one.
 *
 * Invariant: a slot is overwritten only by the epoch two after its own, so the newest committed one
 * is always whole.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { CurlingError } from '../../common/errors.ts';
import { type Frame, FrameDecoder } from '../replication/decode.ts';
import { MESSAGE } from '../replication/types.ts';
import type { StoreIo } from './store-io.ts';

/** A slot that grew beyond this gives the room back when it is used again. */
const KEPT_BYTES = 64 << 20;
const READ_BYTES = 1 << 20;

export class Journal {
  readonly #io: StoreIo;
  readonly #fds: readonly number[];
  #epoch: number | undefined;
  #position = 0;

  constructor(io: StoreIo, directory: string) {
    this.#io = io;
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT;
    this.#fds = ['slot-0', 'slot-1'].map(name =>
      fs.openSync(path.join(directory, name), flags, 0o600),
    );
  }

  /** Begins to write the slot of `epoch` from its start. */
  begin(epoch: number): void {
    const fd = this.#slot(epoch);
    if (fs.fstatSync(fd).size > KEPT_BYTES) this.#io.truncate(fd, KEPT_BYTES);
    this.#epoch = epoch;
    this.#position = 0;
  }

  /** Appends messages as they came. */
  append(buffers: readonly Buffer[]): void {
    assert(this.#epoch !== undefined, 'a journal is begun first');
    this.#io.write(this.#slot(this.#epoch), buffers, this.#position);
    this.#position += buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  }

  /** Appends the commit record; on return the checkpoint counts. */
  commit(buffers: readonly Buffer[]): void {
    assert(this.#epoch !== undefined, 'a journal is begun first');
    this.append(buffers);
    this.#io.sync(this.#slot(this.#epoch));
    this.#epoch = undefined;
  }

  /** Empties both slots. */
  clear(): void {
    for (const fd of this.#fds) this.#io.truncate(fd, 0);
    this.#epoch = undefined;
  }

  /**
   * The messages in a slot up to its first COMMIT. Ends early where they stop making sense, so the
   * caller must see COMMIT and verify it.
   */
  *read(slot: 0 | 1): Generator<Frame> {
    const decoder = new FrameDecoder();
    for (let position = 0; ; ) {
      const chunk = Buffer.allocUnsafe(READ_BYTES);
      const length = fs.readSync(this.#fds[slot]!, chunk, 0, READ_BYTES, position);
      if (length === 0) return;
      position += length;
      decoder.push(chunk.subarray(0, length));
      for (;;) {
        const frame = nextOrEnd(decoder);
        if (frame === 'end') return;
        if (!frame) break;
        yield frame;
        if (frame.type === MESSAGE.commit) return;
      }
    }
  }

  close(): void {
    for (const fd of this.#fds) fs.closeSync(fd);
  }

  #slot(epoch: number): number {
    return this.#fds[epoch % 2]!;
  }
}

function nextOrEnd(decoder: FrameDecoder): Frame | undefined | 'end' {
  try {
    return decoder.next();
  } catch (error) {
    if (error instanceof CurlingError) return 'end';
    throw error;
  }
}
